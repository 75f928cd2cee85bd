"""Processes that outlive the one that started them are killed."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from orchestrator.orphan_reaper import (
    VARIABLE,
    descendants_of,
    is_alive,
    kill_all,
    marked_processes,
    watch_and_reap,
)
from tests.support.paths import ROOT

# Two generations: the child of the driver starts a process in a session of its own, and dies.
DRIVER = """
import subprocess, sys, time
sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True).pid, flush=True)"
subprocess.run([sys.executable, "-c", starter, *sleeper])
time.sleep(60)
"""
MARK = "of-this-test"


@pytest.fixture
def driver():
    """A driver, and a process that it has started through another one, which is gone."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True, env={**os.environ, VARIABLE: MARK}
    )
    orphan = psutil.Process(int(process.stdout.readline()))
    yield process, orphan
    process.kill()
    process.wait()
    if is_alive(orphan):
        orphan.kill()


def test_what_a_killed_process_has_started_is_killed_whoever_its_parent_is_now(driver):
    process, orphan = driver
    process.kill()
    process.wait()
    assert is_alive(orphan)
    watch_and_reap(process.pid, MARK, grace_seconds=0.0)
    assert not is_alive(orphan)


def test_nothing_is_killed_while_the_driver_lives(driver):
    process, orphan = driver
    code = f"from orchestrator.orphan_reaper import watch_and_reap; watch_and_reap({process.pid}, {MARK!r})"
    reaper = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    time.sleep(1.0)
    assert is_alive(orphan)
    assert reaper.poll() is None
    reaper.kill()
    reaper.wait()


def test_a_process_that_has_overwritten_its_mark_is_found_as_a_descendant(driver):
    process, orphan = driver
    assert descendants_of(psutil.Process(os.getpid())) >= {psutil.Process(process.pid)}
    kill_all([orphan])
    psutil.wait_procs([orphan], timeout=5)
    assert not is_alive(orphan)


def test_only_processes_with_the_mark_are_found(driver):
    process, orphan = driver
    assert {process.pid, orphan.pid} <= {found.pid for found in marked_processes(MARK)}
    assert marked_processes("another mark") == []


def test_the_folder_of_a_dead_driver_is_removed(tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "module.py").touch()
    code = (
        "import pathlib, sys; from orchestrator.orphan_reaper import start_reaper;"
        "start_reaper(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True)
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


def test_a_zombie_is_not_alive(driver):
    process, _ = driver
    root = psutil.Process(process.pid)
    process.kill()
    deadline = time.monotonic() + 5
    while root.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(root)
