"""Ends what a killed process has left: `python guard.py PID`, started by it, waits until it is gone. For nodes.py.

Ray's own processes end with the one that started them, but for its agents, which stay for a minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LOOK, GRACE = 0.5, 3.0  # seconds: between looks at what there is, and in which it may end by itself


class Process(NamedTuple):
    """A process as nobody else can be: numbers are given again, but not at the same tick."""

    number: int
    began: int


def start() -> None:
    """Let all that this process has started and will start end with it, however it ends."""
    if Path("/proc/self/stat").exists():  # Linux
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-S", __file__, str(os.getpid())]
        subprocess.Popen(command, **nothing, start_new_session=True)  # type: ignore[call-overload]


def living() -> dict[Process, int]:
    """All processes but zombies, with their parents' numbers."""
    return dict(map(_parsed, _stats()))


def _stats() -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # gone
            if folder.name.isdigit() and (stat := (folder / "stat").read_text()).rpartition(")")[2].split()[0] != "Z":
                yield stat


def _parsed(stat: str) -> tuple[Process, int]:
    fields = stat.rpartition(")")[2].split()
    return Process(int(stat.split()[0]), int(fields[19])), int(fields[1])


def below(root: int, found: dict[Process, int]) -> set[Process]:
    """What `root` has started, and what that has started, but for this process."""
    numbers, grown = {root}, True
    while grown:
        more = {process.number for process, parent in found.items() if parent in numbers}
        grown, numbers = not more <= numbers, numbers | more
    return {process for process in found if process.number in numbers - {root, os.getpid()}}


def main(number: int) -> None:
    """Remember all that is below the process while it lives: what is left when it is gone has other parents."""
    known: set[Process] = set()
    root = next((process for process in living() if process.number == number), None)
    while root in (found := living()):
        known = (known & found.keys()) | below(number, found)
        time.sleep(LOOK)
    time.sleep(GRACE)
    for process in known & living().keys():
        with suppress(OSError):
            os.kill(process.number, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
