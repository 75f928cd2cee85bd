"""Kills the processes that a dead driver leaves behind: `python orphan_reaper.py PID`.

The driver starts the reaper as a process of its own, which outlives it. Ray's processes end with their driver, except
for its agents, which would stay for a minute, and for trials in the middle of a long step.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil


def start_reaper() -> None:
    """Watch this process: when it is gone, however it ended, everything that it has started is killed."""
    subprocess.Popen(
        [sys.executable, __file__, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the driver's terminal must not end the reaper first
    )


def watch_and_reap(pid: int, *, interval_seconds: float = 0.5, grace_seconds: float = 3.0) -> None:
    """Wait until process `pid` is gone, then kill its descendants that do not end by themselves within the grace.

    Descendants are recorded while `pid` lives, because orphans get another parent. A `psutil.Process` compares by pid
    and start time, so a recycled pid is never killed.
    """
    try:
        root = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    descendants: set[psutil.Process] = set()
    while is_alive(root):
        descendants = {process for process in descendants if is_alive(process)}
        descendants |= descendants_of(root)
        time.sleep(interval_seconds)
    time.sleep(grace_seconds)
    for process in descendants:
        with suppress(psutil.Error):
            process.kill()


def descendants_of(root: psutil.Process) -> set[psutil.Process]:
    """All that `root` has started, directly or not, except for this process itself."""
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter(["ppid"]):  # processes that may not be looked at are skipped or have no parent
        parent = process.info["ppid"]
        if parent is not None:
            children.setdefault(parent, []).append(process)
    found: set[psutil.Process] = set()
    waiting = [root.pid]
    while waiting:
        for process in children.get(waiting.pop(), []):
            if process.pid != os.getpid() and process not in found:
                found.add(process)
                waiting.append(process.pid)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    watch_and_reap(int(sys.argv[1]))
