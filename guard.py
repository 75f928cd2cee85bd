"""Ends what a killed process has left: `python guard.py MARK`, started by it, waits until it is gone. For nodes.py.

Ray's own processes end with the one that started them, but for its agents, which stay for a minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

VARIABLE = "STUDY_PROCESSES"  # in the environment of all that is to end
REPEATED = 256  # times the mark in it: Ray's agents write their titles over where their environment begins
GRACE, MOST = 3.0, 60.0  # seconds: in which they may end by themselves, and until it is given up

_running: list[subprocess.Popen[bytes]] = []  # each with a pipe that is closed when this process ends, however


def start() -> None:
    """Let all that this process starts from now on end with it."""
    if not Path("/proc/self/environ").exists():  # not Linux
        return
    mark = uuid.uuid4().hex
    others = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-S", __file__, mark]
    guard = subprocess.Popen(
        command,
        env=others,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _running.append(guard)
    os.environ[VARIABLE] = mark * REPEATED


def marked(mark: str) -> list[int]:
    """The living processes whose environment has the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # gone, or another user's
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def main(mark: str) -> None:
    sys.stdin.read()
    gone = time.monotonic()
    while (left := marked(mark)) and time.monotonic() < gone + MOST:
        for process in left if time.monotonic() > gone + GRACE else ():
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1])
