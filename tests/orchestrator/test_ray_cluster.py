"""What a trial gets of fake nodes; then two real Ray nodes on one machine, of which a node or a process dies."""

import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import ray

from orchestrator import ray_cluster
from orchestrator.gpu_placement import Gpu
from orchestrator.ray_cluster import Cluster
from tests.support.fake_nodes import EPOCHS
from tests.support.fake_trial import begun_epochs
from tests.support.paths import ROOT
from trainers.resources import Resources, TrialRequest

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def nodes(monkeypatch):
    """The living nodes as (CPUs, GPUs): a list that a test fills."""
    living = []

    def describe_nodes():
        found = [{"NodeID": "dead", "Alive": False, "Resources": {"CPU": 99, "GPU": 9}}]
        for number, (cpus, gpus) in enumerate(living):
            found.append({"NodeID": f"node{number}", "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}})
        return found

    monkeypatch.setattr(ray, "nodes", describe_nodes)
    return living


@pytest.fixture
def make_cluster(nodes, monkeypatch, tmp_path):
    """Makes a cluster of the fake nodes, without Ray."""
    monkeypatch.setattr(ray_cluster, "_init_ray", lambda address, **options: SimpleNamespace(dashboard_url=""))
    monkeypatch.setattr(ray_cluster.orphan_reaper, "start_reaper", lambda *folders: None)
    monkeypatch.setattr(ray_cluster.ray_session, "make_session_folder", lambda: tmp_path)
    monkeypatch.setattr(ray_cluster.ray_session, "give_token", lambda folder: "")
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return Cluster


@pytest.mark.parametrize(
    ("living", "asked", "request_"),
    [
        ([(8, 0)], {}, TrialRequest(1, 0)),
        ([(16, 2)], {}, TrialRequest(8, 1)),
        ([(16, 2)], {"gpus": 0.25}, TrialRequest(2, 0.25)),
        ([(96, 0), (32, 8), (64, 8)], {}, TrialRequest(4, 1)),  # a head without GPUs has no part of a trial
        ([(16, 2)], {"cpus": 3, "gpus": 1.0}, TrialRequest(3, 1)),
    ],
)
def test_a_trial_gets_its_part_of_the_living_nodes(nodes, make_cluster, living, asked, request_):
    nodes[:] = living
    assert make_cluster(**asked).request == request_


def test_a_trial_that_no_node_holds_is_refused(nodes, make_cluster):
    nodes[:] = [(16, 2), (16, 2), (8, 0)]
    with pytest.raises(ValueError, match=r"1 CPUs and 3 GPUs, the nodes have 16 CPUs and 2 GPUs, 8 CPUs and 0 GPUs$"):
        make_cluster(cpus=1, gpus=3.0)


def test_the_resources_of_a_trial_hold_its_loader_workers(nodes, make_cluster):
    nodes[:] = [(64, 8)]
    cluster = make_cluster(gpus=8.0)
    assert cluster.resources(loader_workers=5) == Resources(device="cuda", threads=8, ranks=8, workers=5)


def test_trials_at_a_time_are_those_that_fit_on_each_living_node(nodes, make_cluster):
    nodes[:] = [(8, 2), (3, 2), (8, 0)]
    assert make_cluster(cpus=2, gpus=1.0).trials_at_a_time() == 3
    assert make_cluster(cpus=1, gpus=0.4).trials_at_a_time() == 7  # two on each GPU, not five on two
    assert make_cluster(cpus=4, gpus=0).trials_at_a_time() == 4


def test_an_excluded_gpu_counts_no_more(nodes, make_cluster):
    nodes[:] = [(8, 2), (8, 2)]
    cluster = make_cluster(cpus=1, gpus=0.5)
    assert (cluster.trials_at_a_time(), cluster.healthy_gpus()) == (8, 4)
    cluster.exclude(Gpu("host", "0", "node1"))
    cluster.exclude(Gpu("host", "0", "a node that has gone"))
    assert (cluster.trials_at_a_time(), cluster.healthy_gpus()) == (6, 3)
    assert not cluster.lacks_healthy_gpus()


def test_without_enough_healthy_gpus_nothing_is_called(nodes, make_cluster, capsys):
    nodes[:] = [(8, 2), (8, 0)]
    cluster = make_cluster(cpus=1, gpus=2.0)
    cluster.exclude(Gpu("host", "0", "node0"))
    assert cluster.lacks_healthy_gpus()
    assert cluster.trials_at_a_time() == 1
    with pytest.raises(RuntimeError, match=r"^no healthy GPU is left$"):
        cluster.call(statistics.mean, [1, 2])
    assert capsys.readouterr().err == ""


def test_nodes_are_counted_again_after_a_second(nodes, make_cluster, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(ray_cluster.time, "monotonic", lambda: now[0])
    nodes[:] = [(8, 2), (3, 2)]
    cluster = make_cluster(cpus=2, gpus=1.0)
    assert cluster.trials_at_a_time() == 3
    nodes.pop(0)
    assert cluster.trials_at_a_time() == 3
    now[0] += 1.5
    assert cluster.trials_at_a_time() == 1
    assert capsys.readouterr().err == ""


def test_without_a_node_that_holds_a_trial_one_waits(nodes, make_cluster, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(ray_cluster.time, "monotonic", lambda: now[0])
    nodes[:] = [(8, 0)]
    cluster = make_cluster()
    cluster.trials_at_a_time()
    nodes.clear()
    for _ in range(2):
        now[0] += 1.5
        assert cluster.trials_at_a_time() == 1
    assert capsys.readouterr().err == "no node can hold a trial any more: waiting for one\n"


def test_who_joins_a_cluster_leaves_no_copy_of_the_code_behind(monkeypatch, tmp_path):
    reaped = []
    monkeypatch.setattr(ray_cluster, "_init_ray", lambda address: SimpleNamespace(dashboard_url=""))
    monkeypatch.setattr(ray_cluster.orphan_reaper, "start_reaper", lambda *folders: reaped.extend(folders))
    monkeypatch.setattr(ray_cluster, "snapshot_folder", lambda: tmp_path)
    ray_cluster.join_ray("auto")
    assert reaped == [tmp_path]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("head", "--address head, expected HOST:PORT or auto"),
        ("ray://head:10001", "--address ray://head:10001, expected HOST:PORT or auto"),
        ("127.0.0.1:1", "no Ray cluster to join at 127.0.0.1:1: .*refused"),
        ("127.0.0.1:123456", "no Ray cluster to join at 127.0.0.1:123456: "),
    ],
)
def test_an_address_where_nothing_listens_is_refused_at_once(address, reason):
    with pytest.raises(ValueError, match=reason):
        Cluster(address)


@pytest.mark.slow
def test_a_function_runs_with_the_resources_of_a_trial(shared_cluster):
    assert shared_cluster.call(statistics.mean, [1, 2]) == 1.5
    with pytest.raises(RuntimeError, match=r"^statistics\.StatisticsError: "):
        shared_cluster.call(statistics.mean, [])
    assert str(shared_cluster).endswith("1 CPUs and 0 GPUs per trial")


@pytest.mark.slow
def test_all_that_is_started_here_listens_on_loopback_and_is_private(shared_cluster):
    assert shared_cluster.call(statistics.mean, [1, 2]) == 1.5  # in a process that stays
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    hosts = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            connections = process.net_connections("inet")
            hosts |= {open_.laddr.ip for open_ in connections if open_.status == psutil.CONN_LISTEN}
    assert hosts
    assert hosts <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    folder = Path(ray._private.worker._global_node.get_session_dir_path()).parents[1]
    assert folder.stat().st_mode & 0o077 == 0


class Search:
    """The command on the cluster of this address, as a process; what its trials have trained, and its rows."""

    def __init__(self, folder, address):
        self.kept, self.study = folder / "kept", folder / "results" / "placement"
        self.kept.mkdir(parents=True)
        options = ["--space", "placement", "--results", folder / "results"]
        command = [sys.executable, "-m", "tests.support.fake_nodes", self.kept, *options, "--address", address]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **TOKEN}, **pipes)

    def log(self):
        return begun_epochs(self.kept)

    def wait_for(self, condition):
        """The first begun epoch, within a minute, that fulfills the condition."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := next(filter(condition, self.log()), None):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never happened, the command ended with {self.process.poll()}")

    def after(self, line):
        """A later epoch of the same trial."""
        return self.wait_for(lambda other: other.key == line.key and other.epoch > line.epoch)

    def end(self):
        self.output, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, self.output
        return self

    def trials(self):
        rows = pd.read_parquet(self.study / "trials").sort_values("number", ignore_index=True)
        return rows[["number", "candidate", "seed", "status", "epoch", "top1", "error"]]

    def epochs(self):
        """The numbers of the epochs of each trial."""
        rows = pd.read_parquet(self.study / "epochs").sort_values(["key", "epoch"])
        return rows.groupby("key")["epoch"].apply(list).tolist()

    def again(self):
        """How often each trial began an epoch that had begun before."""
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


@pytest.mark.slow
def test_trials_run_on_every_node_and_are_one_study(whole):
    assert whole.trials()["status"].tolist() == ["done"] * 7
    assert whole.epochs() == [list(range(1, EPOCHS + 1))] * 7
    devices = set(pd.read_parquet(whole.study / "trials")["device"])
    assert len(devices) == 2
    assert devices == {line.node for line in whole.log()}
    assert not whole.again()


@pytest.mark.slow
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


@pytest.mark.slow
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
