"""Who runs a study: one process at a time. A lock on a local file dies with its owner; an object store has claims."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from storage.folder import Folder, open_own

LOCK = ".lock"
BEAT, LAPSED, SETTLED = 10.0, 60.0, 1.0  # seconds: between renewals, until a claim counts for nothing, until it counts
PATIENCE = 15.0  # seconds that the end of a study waits until its claim is gone


class StudyBusyError(Exception):
    """Another process is running this study; the text says which."""


@contextmanager
def held(study: str, folder: Folder) -> Iterator[None]:
    """Hold a study for this process; StudyBusyError if a living process holds it, OSError if it cannot be written."""
    if folder.path:
        with _locked(study, folder.path / LOCK):
            yield
        return
    claim = Claim(study, folder)
    claim.take()
    try:
        yield
    finally:
        claim.release()


@contextmanager
def _locked(study: str, file: Path) -> Iterator[None]:
    with os.fdopen(open_own(file, os.O_RDWR | os.O_APPEND), "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StudyBusyError(f"study {study!r} is being run by {lock.read().strip()}") from None
        lock.truncate(0)
        lock.write(_process(os.getpid(), socket.gethostname(), _now()))
        lock.flush()
        yield


class Claim:
    """An object that says who runs a study and is renewed while they do; left alone for a minute, it counts no more.

    As good as it gets without conditional writes, which pyarrow does not have, and with clocks that agree within a
    minute: of two who start together the later writer wins; should an earlier one have settled by then, it finds that
    out at its next renewal and is stopped as by SIGTERM.
    """

    def __init__(self, study: str, folder: Folder) -> None:
        self.study, self.folder = study, folder
        self.mine = {"token": uuid.uuid4().hex, "pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        self.over = threading.Event()
        self.renewing = threading.Thread(target=self._renew, daemon=True)

    def take(self) -> None:
        """StudyBusyError if another's claim holds."""
        if (other := self._found()) and _holds(other):
            raise StudyBusyError(self._busy(other))
        self._write()
        time.sleep(SETTLED)  # whoever looked before this was written has written by now
        if (other := self._found()) and not self._is_mine(other):
            raise StudyBusyError(self._busy(other))
        self.renewing.start()

    def release(self) -> None:
        """Let go of it, unless the store is away: then it lapses."""
        self.over.set()
        self.renewing.join(PATIENCE)

    def _renew(self) -> None:
        while not self.over.wait(BEAT):
            with suppress(OSError):  # the next renewal may succeed
                if (found := self._found()) and not self._is_mine(found):
                    print(f"\ntaken over: {self._busy(found)}", file=sys.stderr, flush=True)
                    return os.kill(os.getpid(), signal.SIGTERM)
                self._write()
        with suppress(OSError):
            if (found := self._found()) and self._is_mine(found):
                self.folder.remove(LOCK)

    def _found(self) -> dict[str, Any] | None:
        """The claim that is there; None where there is none that can be read."""
        try:
            claim = json.loads(self.folder.read(LOCK))
        except (FileNotFoundError, ValueError):
            return None
        return claim if isinstance(claim, dict) and {"beat", *self.mine} <= claim.keys() else None

    def _write(self) -> None:
        self.folder.write(LOCK, json.dumps({**self.mine, "beat": time.time()}).encode())

    def _is_mine(self, claim: dict[str, Any]) -> bool:
        return claim["token"] == self.mine["token"]

    def _busy(self, claim: dict[str, Any]) -> str:
        who = _process(claim["pid"], claim["host"], claim["since"])
        heard = max(0.0, time.time() - claim["beat"])
        return (
            f"study {self.study!r} is being run by {who}, last heard of {heard:.0f} s ago (at {LAPSED:.0f} it is free)"
        )


def _holds(claim: dict[str, Any]) -> bool:
    """Whether who made it may be alive: it was renewed lately, and is no process of this machine that is gone."""
    gone = claim["host"] == socket.gethostname() and not _alive(claim["pid"])
    return time.time() - claim["beat"] < LAPSED and not gone


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _process(pid: int, host: str, since: str) -> str:
    return f"process {pid} on {host} since {since}"


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d %H:%M:%S}"
