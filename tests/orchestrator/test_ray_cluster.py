"""Two Ray nodes on one machine, joined as a user would; a node, or a trial's process, dies. Trials are fake."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from tests.support.paths import ROOT

EPOCHS = 6
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": str(ROOT)}


class Line(NamedTuple):
    """Who trained what."""

    key: str
    epoch: int
    node: str
    process: int


class Search:
    """The command on the cluster of this address, as a process; what its trials have trained, and its rows."""

    def __init__(self, folder, address):
        self.kept, self.study = folder / "kept", folder / "results" / "placement"
        self.kept.mkdir(parents=True)
        options = ["--space", "placement", "--epochs", str(EPOCHS), "--results", folder / "results"]
        command = [sys.executable, "-m", "tests.support.fake_nodes", self.kept, *options, "--address", address]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **TOKEN}, **pipes)

    def log(self):
        text = (self.kept / "log").read_text() if (self.kept / "log").exists() else ""
        lines = [line.split() for line in text.splitlines()]
        return [Line(key, int(epoch), node, int(process)) for key, epoch, node, process in lines]

    def wait_for(self, condition):
        """The first line of the log, of at most a minute, that fulfills it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := next(filter(condition, self.log()), None):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never happened, the command ended with {self.process.poll()}")

    def after(self, line):
        """The line of a later epoch of the same trial."""
        return self.wait_for(lambda other: other.key == line.key and other.epoch > line.epoch)

    def end(self):
        self.output, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, self.output
        return self

    def trials(self):
        rows = pd.read_parquet(self.study / "trials").sort_values("number", ignore_index=True)
        return rows[["number", "candidate", "seed", "status", "epoch", "top1", "error"]]

    def epochs(self):
        """The epochs of each trial that have rows."""
        rows = pd.read_parquet(self.study / "epochs").sort_values(["key", "epoch"])
        return rows.groupby("key")["epoch"].apply(list).tolist()

    def again(self):
        """How often which trial began an epoch that had begun before."""
        begun = Counter((line.key, line.epoch) for line in self.log())
        return Counter(key for (key, _), times in begun.items() for _ in range(times - 1))


@contextmanager
def node(temp, *options):
    """A Ray node with two CPUs; its process. It ends with all that it has started."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "2", "--temp-dir", temp]
    ports = ["--dashboard-agent-listen-port", "0", "--object-store-memory", "80000000"]
    log = Path(temp) / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *ports, *options],
            env={**os.environ, **TOKEN},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kill_raylet(process):
    """`kill -9` of a node's raylet."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    raylets = [
        pid for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"/raylet")
    ]
    assert len(raylets) == 1
    os.kill(int(raylets[0]), signal.SIGKILL)


def free_port():
    """Outside of those that Ray gives its workers."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            if (port := free.getsockname()[1]) > 20000:
                return port


@pytest.fixture(scope="module")
def temp():
    """Short: Ray's sockets lie in it, whose names may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.fixture(scope="module")
def head(temp):
    """The address of a cluster of one node."""
    address, ports = f"127.0.0.1:{free_port()}", ["--ray-client-server-port", str(free_port())]
    folder = Path(temp, "h")
    folder.mkdir()
    options = ["--head", "--port", address.partition(":")[2], *ports, "--include-dashboard", "false"]
    with node(folder, *options):
        yield address


@pytest.fixture(scope="module")
def worker(temp, head):
    """A second node, which a test may kill."""
    folder = Path(temp, "w")
    folder.mkdir()
    with node(folder, "--address", head) as process:
        yield process


@pytest.fixture(scope="module")
def whole(head, worker, tmp_path_factory):
    """A study that nothing disturbed, on two nodes."""
    return Search(tmp_path_factory.mktemp("whole"), head).end()


def test_trials_run_on_every_node_and_are_one_study(whole):
    assert whole.trials()["status"].tolist() == ["done"] * 7
    assert whole.epochs() == [list(range(1, EPOCHS + 1))] * 7
    devices = set(pd.read_parquet(whole.study / "trials")["device"])
    assert len(devices) == 2
    assert devices == {line.node for line in whole.log()}
    assert not whole.again()


def test_a_trial_whose_process_is_killed_goes_on_from_its_newest_epoch(whole, head, tmp_path):
    search = Search(tmp_path, head)
    line = search.wait_for(lambda line: line.epoch == 2)
    for _ in range(3):
        os.kill(line.process, signal.SIGKILL)
        line = search.after(line)
    pd.testing.assert_frame_equal(search.end().trials(), whole.trials())
    assert search.epochs() == whole.epochs()
    assert search.again() == {line.key: 3}
    assert search.output.count("seed 0: its process died; goes on from epoch") == 3
    assert "(raylet)" not in search.output


def test_trials_of_a_node_that_dies_go_on_elsewhere(whole, head, worker, tmp_path):
    search = Search(tmp_path, head)
    first = search.wait_for(lambda line: line.epoch == 2)
    search.wait_for(lambda line: line.epoch == 2 and line.node != first.node)
    kill_raylet(worker)
    pd.testing.assert_frame_equal(search.end().trials(), whole.trials())
    assert search.epochs() == whole.epochs()
    nodes = {
        key: {line.node for line in search.log() if line.key == key} for key in {line.key for line in search.log()}
    }
    moved = {key for key, where in nodes.items() if len(where) == 2}
    assert 1 <= len(moved) <= 2  # trials that the dead node held
    assert search.again() <= Counter(moved)  # each lost the epoch in flight at most
