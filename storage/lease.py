"""A lease on a study on an object store: an object that says who runs it and is renewed while they do.

It assumes clocks that agree within a minute, and pyarrow has no conditional writes. So when two processes start
together, both may write; the later writer keeps the lease. The earlier one finds out a second later, before it begins,
or at its next renewal, which stops it as SIGTERM does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace

from storage.folder import Folder
from storage.owner import PROGRAM_START, Owner, StudyBusyError


@dataclass(frozen=True)
class LeaseTiming:
    """All in seconds."""

    renewal: float = 10.0  # between renewals
    expiry: float = 60.0  # after the last renewal, until the lease is free
    settling: float = 1.0  # after the lease was written, until who looked before that has written too
    release: float = 15.0  # how long the end of a study waits until its lease is removed


TIMING = LeaseTiming()


@dataclass(frozen=True)
class LeaseContent(Owner):
    """What the object says, as JSON."""

    token: str
    beat: float  # the last renewal, in seconds since 1970

    def is_valid(self) -> bool:
        """Whether its owner may be alive: it was renewed lately, and is no process of this machine that is gone.

        This process may have run another program before, such as the same command before Ray died: that one is gone.
        """
        was_this_process = self.pid == os.getpid() and self.host == socket.gethostname()
        is_gone = self.has_died() or (was_this_process and self.beat < PROGRAM_START)
        return time.time() - self.beat < TIMING.expiry and not is_gone


class Lease:
    """This process's lease on a study. A thread renews it."""

    def __init__(self, study: str, folder: Folder, name: str = ".lock") -> None:
        self.study = study
        self.folder = folder
        self.name = name
        self.content = LeaseContent(**asdict(Owner.this_process()), token=uuid.uuid4().hex, beat=0.0)
        self.released = threading.Event()
        self.renewing = threading.Thread(target=self._renew, daemon=True)

    def acquire(self) -> None:
        """Write the lease; StudyBusyError if another process's is valid."""
        found = self._read()
        if found and found.is_valid():
            raise StudyBusyError(self._busy(found))
        self._write()
        time.sleep(TIMING.settling)
        found = self._read()
        if found and not self._is_ours(found):
            raise StudyBusyError(self._busy(found))
        self.renewing.start()

    def release(self) -> None:
        """Remove the lease. If the store is away, it expires instead."""
        self.released.set()
        self.renewing.join(TIMING.release)

    def _renew(self) -> None:
        """Write the lease again and again until it is released; SIGTERM to this process if another has taken it."""
        while not self.released.wait(TIMING.renewal):
            with suppress(OSError):  # the next renewal may succeed
                found = self._read()
                if found and not self._is_ours(found):
                    print(f"\ntaken over: {self._busy(found)}", file=sys.stderr, flush=True)
                    return os.kill(os.getpid(), signal.SIGTERM)
                self._write()
        with suppress(OSError):
            found = self._read()
            if found and self._is_ours(found):
                self.folder.remove(self.name)

    def _read(self) -> LeaseContent | None:
        """The lease that is there, this process's or another's; None if there is none that can be read."""
        try:
            content = json.loads(self.folder.read(self.name))
            return LeaseContent(**{field.name: content[field.name] for field in fields(LeaseContent)})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _write(self) -> None:
        renewed = replace(self.content, beat=time.time())
        self.folder.write(self.name, json.dumps(asdict(renewed)).encode())

    def _is_ours(self, found: LeaseContent) -> bool:
        return found.token == self.content.token

    def _busy(self, found: LeaseContent) -> str:
        silence = max(0.0, time.time() - found.beat)
        return (
            f"study {self.study!r} is being run by {found}, last heard of {silence:.0f} s ago "
            f"(at {TIMING.expiry:.0f} it is free)"
        )
