"""Cleans up after a dead driver: `python orphan_reaper.py PID MARK [FOLDER ...]`.

The driver starts the reaper as a process of its own, which outlives it. Ray's processes end with their driver, except
for its agents, which would stay for a minute, and for trials in the middle of a long step.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

VARIABLE = "STUDY_DRIVER"  # in the environment of all that a driver starts: its mark


def start_reaper(*folders: Path | None) -> None:
    """Watch this process: when it is gone, however it ended, all that it has started is killed.

    Then `folders` are removed, which its processes used.
    """
    mark = uuid.uuid4().hex
    os.environ[VARIABLE] = mark
    command = [sys.executable, __file__, str(os.getpid()), mark]
    command += [str(folder) for folder in folders if folder]
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the driver's terminal must not end the reaper first
    )


def watch_and_reap(pid: int, mark: str, *, interval_seconds: float = 0.5, grace_seconds: float = 3.0) -> None:
    """Wait until process `pid` is gone; then, after the grace, kill its descendants and all marked processes.

    Neither is enough: a process that has just started was not seen as a descendant, and one that gives itself a title,
    as Ray's agents do, may overwrite its mark.
    """
    descendants: set[psutil.Process] = set()
    try:
        driver = psutil.Process(pid)
    except psutil.NoSuchProcess:
        driver = None
    while driver and is_alive(driver):
        descendants = {process for process in descendants if is_alive(process)}
        descendants |= descendants_of(driver)
        time.sleep(interval_seconds)
    time.sleep(grace_seconds)
    kill_all(descendants)
    kill_marked_processes(mark)


def descendants_of(driver: psutil.Process) -> set[psutil.Process]:
    """All that `driver` has started, directly or not, except for this process itself; none if it is gone."""
    try:
        children = driver.children(recursive=True)
    except psutil.Error:
        return set()
    return {child for child in children if child.pid != os.getpid()}


def kill_all(processes: Collection[psutil.Process]) -> None:
    """Kill these processes. One whose pid another process has by now is left alone."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def kill_marked_processes(mark: str) -> None:
    """Kill all marked processes but this one, until none is left: one that is killed may just have started another."""
    orphans = marked_processes(mark)
    while orphans:
        kill_all(orphans)
        psutil.wait_procs(orphans, timeout=1)
        orphans = marked_processes(mark)


def marked_processes(mark: str) -> list[psutil.Process]:
    """The living processes that have this mark in their environment, except for this process itself."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it is another user's, or is gone by now
            if has_mark(process, mark) and process.pid != os.getpid() and is_alive(process):
                found.append(process)
    return found


def has_mark(process: psutil.Process, mark: str) -> bool:
    """Whether the process was started with this mark, as far as its title has not overwritten it."""
    environment = Path(f"/proc/{process.pid}/environ")
    if not environment.parent.exists():  # not Linux, or gone
        return process.environ().get(VARIABLE) == mark
    try:
        return f"{VARIABLE}={mark}".encode() in environment.read_bytes()
    except OSError:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    watch_and_reap(int(sys.argv[1]), sys.argv[2])
    for folder in sys.argv[3:]:
        shutil.rmtree(folder, ignore_errors=True)
