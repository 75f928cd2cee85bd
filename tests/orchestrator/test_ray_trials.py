"""What Tune is told, by a fake agenda on a fake cluster: no Ray process."""

import math
import re
import shlex
import signal
from types import SimpleNamespace

import pytest
import ray

from orchestrate import parser
from orchestrator import ray_trials as cluster
from orchestrator.ray_cluster import cpus_and_gpus
from orchestrator.ray_trials import EPILOGUE, Interrupts, TrialCallback, TrialSearcher
from orchestrator.stall_detector import StallDetector
from searchspace.candidate import Candidate
from tests.support.paths import ROOT
from tests.support.studies import trial_record
from trainers.resources import Resources
from trainers.trial_task import Failure, TrialTask


class TrialQueue:
    """So many trials, each to two epochs; those that are over."""

    def __init__(self, number):
        self.left, self.ended = [trial_record(seed=seed, epoch=1) for seed in range(number)], []

    def next(self):
        return (self.left.pop(0), 2) if self.left else None

    def over(self, record):
        self.ended.append(record.seed)


def jobs(trials, side_by_side):
    return TrialSearcher(TrialQueue(trials), SimpleNamespace(side_by_side=side_by_side))


def test_a_job_says_what_its_trial_has_and_until_where_to_go():
    record = trial_record(seed=0)
    candidate = Candidate.parse(record.candidate)
    task = TrialTask(key=record.key, candidate=candidate, seed=0, until=2, reported_epochs=1)
    assert jobs(1, side_by_side=1).suggest("x") == {"task": task}


def test_the_agenda_is_asked_only_while_fewer_trials_are_live_than_fit():
    search = jobs(3, side_by_side=2)
    assert [search.suggest(name) is None for name in "xyz"] == [False, False, True]
    assert [record.seed for record in search.agenda.left] == [2]


def test_a_trial_that_ends_is_over_and_frees_its_place():
    search = jobs(3, side_by_side=2)
    for name in "xy":
        search.suggest(name)
    search.on_trial_complete("y", error=True)
    assert search.agenda.ended == [1]
    assert search.suggest("z")["task"].seed == 2


def test_the_search_is_finished_only_when_nothing_is_live():
    search = jobs(1, side_by_side=2)
    search.suggest("x")
    assert search.suggest("y") is None
    search.on_trial_complete("x")
    assert search.suggest("y") == TrialSearcher.FINISHED


def test_an_interrupt_before_tune_listens_waits_for_its_loop():
    interrupts, passed_on = Interrupts(), []
    with interrupts:
        signal.raise_signal(signal.SIGTERM)  # no handler of SIGUSR1 yet: passing it on now would end the process
        before = signal.signal(signal.SIGUSR1, lambda number, frame: passed_on.append(number))
        listener = TrialCallback(None, interrupts, StallDetector())
        listener.on_step_begin(0, [])
        listener.on_step_begin(1, [])
        signal.signal(signal.SIGUSR1, before)
    assert interrupts.received == signal.SIGTERM
    assert passed_on == [signal.SIGUSR1]


@pytest.fixture
def nodes(monkeypatch):
    """What the nodes are, as (CPUs, GPUs); a list that may be changed."""
    found = []

    def nodes():
        dead = {"Alive": False, "Resources": {"CPU": 99, "GPU": 9}}
        return [dead, *({"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in found)]

    monkeypatch.setattr(ray, "nodes", nodes)
    return found


@pytest.mark.parametrize(
    ("each", "asked", "got"),
    [
        ([(8, 0)], (None, None), (1, 0)),
        ([(16, 2)], (None, None), (8, 1)),
        ([(16, 2)], (None, 0.25), (2, 0.25)),
        ([(16, 2)], (None, 0), (1, 0)),
        ([(64, 8), (64, 8)], (None, 8.0), (64, 8)),
        ([(96, 0), (32, 8), (64, 8)], (None, None), (4, 1)),  # a head without GPUs has no part of a trial
        ([(16, 2)], (3, 1.0), (3, 1)),
    ],
)
def test_a_trial_gets_a_gpu_where_there_are_any_and_its_part_of_the_cpus(nodes, each, asked, got):
    nodes[:] = each
    assert cpus_and_gpus(*asked) == got


def test_what_no_node_holds_is_refused(nodes):
    nodes[:] = [(16, 2), (16, 2), (8, 0)]
    with pytest.raises(ValueError, match=r"1 CPUs and 3 GPUs, the nodes have 16 CPUs and 2 GPUs, 8 CPUs and 0 GPUs$"):
        cpus_and_gpus(1, 3.0)
    with pytest.raises(ValueError, match=r"1\.5 GPUs a trial, expected a fraction of one or a whole number"):
        cpus_and_gpus(1, 1.5)


def joined(cpus, gpus):
    """A cluster whose trials have this share, without Ray."""
    machine = cluster.Cluster.__new__(cluster.Cluster)
    machine.cpus, machine.gpus, machine.workers = cpus, gpus, 0
    machine._counted, machine._number = -math.inf, 1
    return machine


@pytest.mark.parametrize(
    ("cpus", "gpus", "share"),
    [
        (2, 0, Resources(device="cpu", threads=2)),
        (4, 1.0, Resources(device="cuda", threads=4)),
        (4, 0.25, Resources(device="cuda", threads=4, memory_fraction=0.25)),
        (64, 8.0, Resources(device="cuda", threads=8, ranks=8)),
        (4, 8.0, Resources(device="cuda", threads=1, ranks=8)),
    ],
)
def test_several_gpus_are_ranks_that_share_the_cpus(cpus, gpus, share):
    assert joined(cpus, gpus).share == share


def test_trials_side_by_side_are_those_that_fit_on_each_node_now(nodes, capsys):
    nodes[:] = [(8, 2), (3, 2), (8, 0)]
    assert joined(2, 1.0).side_by_side == 3
    assert joined(1, 0.4).side_by_side == 7  # two on each GPU, not five on two
    assert joined(4, 0).side_by_side == 4
    machine = joined(2, 1.0)
    assert machine.side_by_side == 3
    nodes.pop(0)
    assert machine.side_by_side == 3  # for a second
    machine._counted -= 1
    assert machine.side_by_side == 1
    assert capsys.readouterr().err == ""
    nodes.clear()
    machine._counted -= 1
    assert machine.side_by_side == 1
    assert capsys.readouterr().err == "no node holds a trial any more: waiting for one\n"


class Heard:
    """What a recorder is told."""

    def __init__(self):
        self.told = []

    def on_process_death(self, key, how):
        self.told.append(f"{key}: {how}")

    def on_failure(self, key, message, traceback):
        self.told.append(f"{key}: {message}")


# As Ray 2.60 words them.
STEP = "ray::T.train() (pid=1, ip=10.0.0.1)\n  File \"run.py\", line 2, in step\nKeyError: 'x'"
SETUP = 'The actor died because of an error raised in its creation task, ray::T()\n  File "run.py", line 1\nOSError: no'
IMPORT = f'The actor is dead because its worker has died.\n  File "pickle.py", line 1\nImportError: x\n\n{EPILOGUE}'
KILLED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: T\nThe actor is dead because its worker"
)
NODE = "The actor 12ff is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed"
MEMORY = "1 worker(s) were killed due to the node running low on memory.\nTop 10 memory users\n1\t9\tray::T.train()"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (STEP, "KeyError: 'x'"),
        (SETUP, "OSError: no"),
        (IMPORT, "ImportError: x"),
        (KILLED, "its process died"),
        (NODE, "its process died"),
        (MEMORY, "its process died for want of memory"),
    ],
)
def test_a_trial_whose_process_died_is_told_from_one_that_raised(tmp_path, error, told):
    (tmp_path / "error.txt").write_text(f"Failure # 1 (occurred at 2026-01-01_00-00-00)\n{error}\n")
    trial = SimpleNamespace(config={"task": SimpleNamespace(key="k")}, error_file=tmp_path / "error.txt")
    heard = Heard()
    TrialCallback(heard, None, StallDetector()).on_trial_error(0, [], trial)
    assert heard.told == [f"k: {told}"]


def test_a_failure_is_recorded_and_a_full_disk_ends_the_run():
    trial = SimpleNamespace(config={"task": SimpleNamespace(key="k")})
    heard = Heard()
    callback = TrialCallback(heard, None, StallDetector())
    callback.on_trial_result(0, [], trial, {"failure": Failure("error", "no", "Traceback\nKeyError: 'x'")})
    assert heard.told == ["k: KeyError: 'x'"]
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"):
        callback.on_trial_result(0, [], trial, {"failure": Failure("disk", "No space left on device", errno=28)})


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
        cluster.Cluster(address, None, None, False)


def test_the_commands_of_the_page_on_clusters_are_understood():
    page = (ROOT / "docs" / "cluster.md").read_text()
    commands = re.findall(r"orchestrate\.py( --[^#'&\n]*)", page)
    assert len(commands) >= 7
    for command in commands:
        parser().parse_args(shlex.split(command))
