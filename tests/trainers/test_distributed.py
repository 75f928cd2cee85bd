"""Several ranks train as one does; ranks that fail or die. Real processes, gloo, on a CPU."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from searchspace.candidate import Candidate
from searchspace.user_space import VARIABLE, find_space
from storage.folder import Folder
from tests.support.paths import ROOT
from tests.support.reports import make_report
from tests.support.training import curve
from tests.support.user_mixers import POOLING, mixers_forgotten
from trainers.data.open_dataset import open_streamed
from trainers.distributed import _listen, _RankFailure
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trial_task import Failure, TrainingSetup, TrialReport, TrialTask

TASK = TrialTask(key="k", candidate=Candidate.parse("caformer_micro-dwconv-cska-ska-attn"), seed=0, until=3)


@pytest.fixture
def alone(shapes, quick):
    """Three epochs of three steps in one process, without drop path, whose draws differ from rank to rank."""
    recipe = replace(quick, drop_path=0.0)
    return TrainingSetup(recipe=recipe, data=shapes, resources=Resources(), checkpoints=None)


@pytest.fixture
def two(alone, tmp_path):
    """The same on two ranks."""
    return replace(alone, resources=Resources(ranks=2), checkpoints=Folder(tmp_path / "two"))


def with_micro_batch(setup, images):
    return replace(setup, recipe=replace(setup.recipe, micro_batch=16 * images))  # a CPU takes a sixteenth


def test_two_ranks_give_the_loss_curve_of_one_with_twice_the_micro_batch(alone, two):
    reports = list(run_trial(TASK, with_micro_batch(two, 4)))
    expected = curve(run_trial(TASK, with_micro_batch(alone, 8)))
    assert curve(reports) == [pytest.approx(row, abs=1e-4) for row in expected]
    last = reports[-1]
    assert (last.ranks, last.micro_batch, last.accumulation) == (2, 4, 2)
    assert last.test_top1 is not None
    assert not active_children()


@pytest.mark.slow
def test_ranks_know_the_mixers_of_a_users_file(two, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    file = tmp_path / "mine.py"
    file.write_text(POOLING)
    with mixers_forgotten():
        find_space(str(file))
        task = replace(TASK, candidate=Candidate.parse("caformer_micro-pool-pool-attn-attn"), until=1)
        (report,) = run_trial(task, two)
    assert isinstance(report, TrialReport)
    assert report.ranks == 2


@pytest.mark.slow
def test_a_killed_rank_is_replaced_and_changes_nothing(alone, two):
    data = alone.data
    images = np.tile(data.train_images, (8, 1, 1, 1))
    data = replace(data, train_images=images, train_labels=np.tile(data.train_labels, 8))
    undisturbed = curve(run_trial(TASK, replace(alone, data=data)))
    reports = run_trial(TASK, replace(two, data=data))
    first = next(reports)
    os.kill(next(child.pid for child in active_children() if child.name == "rank 1"), signal.SIGKILL)
    rest = list(reports)
    assert first.note is None
    assert rest[-1].epoch == 3
    assert curve(rest) == [pytest.approx(row, abs=1e-4) for row in undisturbed]
    assert rest[0].note == "rank 1 died with exit code -9; went on from the last checkpoint"


def test_ranks_that_die_again_and_again_are_given_up(two, monkeypatch):
    starts = []

    def dying(train, ranks, device):
        starts.append(ranks)
        yield Failure("process died", "rank 1 died with exit code -9")

    monkeypatch.setattr("trainers.run_trial.run_on_ranks", dying)
    (failure,) = run_trial(TASK, two)
    assert failure.kind == "process died"
    assert len(starts) == 3


@pytest.mark.slow
def test_what_a_rank_raises_is_a_failure_here(two):
    wrong = replace(two, recipe=replace(two.recipe, optimizer="nonsense"))
    (failure,) = run_trial(TASK, wrong)
    assert failure.kind == "input"
    assert "nonsense" in failure.message
    assert not active_children()


@pytest.mark.slow
def test_an_image_that_cannot_be_decoded_is_named_by_ranks_as_by_one(two, tmp_path):
    for split in ("train", "val"):
        for label in "ab":
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(6):
                (tmp_path / split / label / f"{number}.png").write_bytes(b"no image")
    streamed = replace(two.recipe, streamed=True, batch_size=4)
    (failure,) = run_trial(TASK, replace(two, recipe=streamed, data=open_streamed(str(tmp_path))))
    assert failure.kind == "input"
    assert "cannot be decoded: not an image" in failure.message


class FakeProcess:
    """A rank's process that has ended with this exit code."""

    def __init__(self, exitcode):
        self.exitcode = exitcode
        self.name = "rank 1"

    def join(self):
        pass


def heard(*ranks):
    """What comes out of ranks that have each sent these messages and ended with this exit code."""
    processes = {}
    for exitcode, messages in ranks:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        for message in messages:
            sender.send(message)
        sender.close()
        processes[receiver] = FakeProcess(exitcode)
    return list(_listen(processes))


BROKEN = _RankFailure(Failure("error", "connection closed by peer"), is_consequence=True)
WRONG = _RankFailure(Failure("input", "not an image"), is_consequence=False)
FULL = _RankFailure(Failure("memory", "too little"), is_consequence=False)


def test_reports_are_passed_on_until_all_ranks_have_ended():
    report = make_report([90.0])
    assert heard((0, [report, report]), (0, [])) == [report, report]


def test_a_dead_rank_is_a_failure_of_its_own_kind():
    assert heard((-9, [])) == [Failure("process died", "rank 1 died with exit code -9")]


def test_a_rank_that_dies_while_it_sends_is_a_dead_rank():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    os.write(sender.fileno(), (100).to_bytes(4, "big") + b"only the beginning")
    sender.close()
    assert list(_listen({receiver: FakeProcess(-9)})) == [Failure("process died", "rank 1 died with exit code -9")]


def test_a_lost_connection_is_no_cause_where_there_is_another():
    assert heard((0, [BROKEN]), (0, [WRONG])) == [WRONG.failure]
    assert heard((0, [BROKEN]), (-9, [])) == [Failure("process died", "rank 1 died with exit code -9")]
    assert heard((0, [BROKEN]), (0, [BROKEN])) == [replace(BROKEN.failure, rank=None)]  # nobody knows whose fault


def test_too_little_memory_comes_before_bad_input():
    assert heard((0, [WRONG]), (0, [FULL])) == [FULL.failure]


def test_the_rank_whose_gpu_failed_is_found_among_those_that_lost_it():
    lost = _RankFailure(Failure("device", "NCCL error", rank=0), is_consequence=True)
    sick = _RankFailure(Failure("device", "CUDA error: an illegal memory access", rank=1), is_consequence=False)
    assert heard((0, [lost]), (0, [sick])) == [sick.failure]


@pytest.mark.slow
def test_no_rank_outlives_the_process_that_started_it(tmp_path):
    process = subprocess.Popen([sys.executable, __file__, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "pids").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def main(folder: Path) -> None:
    """Two ranks that train for long; their process ids in a file."""
    from trainers.data.open_dataset import load_in_memory
    from trainers.recipes import DIGITS

    setup = TrainingSetup(
        recipe=DIGITS, data=load_in_memory("digits", 32), resources=Resources(ranks=2), checkpoints=None
    )
    reports = run_trial(replace(TASK, until=12), setup)
    next(reports)
    (folder / "part").write_text(" ".join(str(child.pid) for child in active_children()))
    (folder / "part").rename(folder / "pids")
    time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
