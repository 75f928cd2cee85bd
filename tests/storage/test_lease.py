import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from storage import lease
from storage.folder import Folder
from storage.lease import LeaseTiming
from storage.lock import study_lock
from storage.owner import StudyBusyError


@pytest.fixture
def timing(monkeypatch):
    """Sets the seconds of leases; tests settle soon."""

    def set_timing(**changes):
        monkeypatch.setattr(lease, "TIMING", LeaseTiming(**{"settling": 0.2, **changes}))

    set_timing()
    return set_timing


@pytest.fixture
def folder(s3, timing):
    return Folder(s3)


def write_lease(folder, **changes):
    """A lease of another process, which is alive."""
    other = {"token": "t", "pid": os.getppid(), "host": socket.gethostname(), "since": "then", "beat": time.time()}
    folder.write(".lock", json.dumps(other | changes).encode())


def read_lease(folder):
    return json.loads(folder.read(".lock"))


@pytest.mark.parametrize("changes", [{}, {"host": "elsewhere", "pid": 1}])
def test_a_study_that_another_process_runs_is_refused(folder, changes):
    write_lease(folder, **changes)
    busy = r"study 's' is being run by process \d+ on .* since then, last heard of 0 s ago \(at 60 it is free\)"
    with pytest.raises(StudyBusyError, match=busy), study_lock("s", folder):
        pass
    assert read_lease(folder)["since"] == "then"


def dead_pid():
    process = subprocess.Popen(["true"])  # noqa: S607
    process.wait()
    return process.pid


@pytest.mark.parametrize("changes", [lambda: {"pid": dead_pid()}, lambda: {"host": "x", "beat": time.time() - 61}])
def test_a_lease_whose_owner_is_gone_is_free(folder, changes):
    write_lease(folder, **changes())
    with study_lock("s", folder):
        assert read_lease(folder)["pid"] == os.getpid()
    assert not folder.exists(".lock")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}"])
def test_a_lease_that_cannot_be_read_is_free(folder, content):
    folder.write(".lock", content)
    with study_lock("s", folder):
        assert read_lease(folder)["pid"] == os.getpid()


def test_of_those_who_start_together_one_wins(folder, timing):
    timing(settling=1.0)
    barrier, refused = threading.Barrier(4), []

    def run():
        barrier.wait()
        try:
            with study_lock("s", folder):
                time.sleep(3)
        except StudyBusyError as error:
            refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert not folder.exists(".lock")


def test_a_lease_is_renewed(folder, timing):
    timing(renewal=0.1)
    with study_lock("s", folder):
        beats = []
        for _ in range(2):
            beats.append(read_lease(folder)["beat"])
            time.sleep(0.5)
        assert beats[1] > beats[0]


def test_a_process_that_lost_its_lease_gets_sigterm(folder, timing, monkeypatch, capsys):
    timing(renewal=0.1)
    stopped = threading.Event()
    monkeypatch.setattr(os, "kill", lambda pid, number: number == signal.SIGTERM and stopped.set())
    with study_lock("s", folder):
        write_lease(folder)
        assert stopped.wait(5)
    assert "taken over: study 's' is being run by process" in capsys.readouterr().err
    assert read_lease(folder)["since"] == "then"
