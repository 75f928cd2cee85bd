"""Processes that outlive the one that started them are killed."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from orchestrator.orphan_reaper import descendants_of, is_alive
from tests.support.paths import ROOT

REAPER = """
import sys
from orchestrator.orphan_reaper import watch_and_reap
watch_and_reap(int(sys.argv[1]), interval_seconds=0.05, grace_seconds=0.2)
"""
DRIVER = """
import subprocess, sys, time
command = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(command, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def driver():
    """A process that has started another one, in a session of its own; both."""
    process = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(process.stdout.readline()))
    yield process, child
    process.kill()
    process.wait()
    if is_alive(child):
        child.kill()


def wait_until_gone(process, seconds=10.0):
    deadline = time.monotonic() + seconds
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(process)


def test_the_child_of_a_killed_process_is_killed(driver):
    process, child = driver
    reaper = subprocess.Popen([sys.executable, "-c", REAPER, str(process.pid)], cwd=ROOT)
    time.sleep(1.0)  # the reaper has seen the child
    assert is_alive(child)
    process.kill()
    process.wait()
    assert reaper.wait(timeout=20) == 0
    assert wait_until_gone(child)


def test_descendants_do_not_include_this_process(driver):
    process, child = driver
    assert descendants_of(psutil.Process(process.pid)) == {child}
    assert os.getpid() not in {found.pid for found in descendants_of(psutil.Process())}


def test_a_process_that_is_gone_has_no_descendants(driver):
    process, _ = driver
    root = psutil.Process(process.pid)
    process.kill()
    process.wait()
    assert not is_alive(root)
    assert descendants_of(root) == set()


def test_a_zombie_is_not_alive(driver):
    process, _ = driver
    root = psutil.Process(process.pid)
    process.kill()
    deadline = time.monotonic() + 5
    while root.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(root)
