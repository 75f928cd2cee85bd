"""The process that runs a study, and the error for everybody else."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime

PROGRAM_START = time.time()  # a process may execute another program: it keeps its pid


class StudyBusyError(Exception):
    """Another process is running this study; the text says which."""


@dataclass(frozen=True)
class Owner:
    """A process, its machine, and when it took the study."""

    pid: int
    host: str
    since: str

    @staticmethod
    def this_process() -> Owner:
        return Owner(os.getpid(), socket.gethostname(), f"{datetime.now():%Y-%m-%d %H:%M:%S}")

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"

    def has_died(self) -> bool:
        """Whether it is a process of this machine that is gone. False on other machines, where nobody can know."""
        return self.host == socket.gethostname() and not _is_alive(self.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process
        return True
    return True
