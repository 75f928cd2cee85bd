"""What Tune is given, with a fake queue and cluster: no Ray process."""

import errno

import pytest
from ray.exceptions import OutOfMemoryError
from ray.tune import TuneError, Tuner

from orchestrator import ray_trials
from orchestrator.gpu_placement import Gpu, Placement
from orchestrator.gpu_watch import GpuWatch
from orchestrator.ray_trials import StopOnSickGpu, TrialSearcher, TuneTrial
from orchestrator.stall_detector import StallDetector
from searchspace.candidate import Candidate
from tests.support.fake_queue import FakeCluster, FakeQueue
from tests.support.studies import trial_record
from trainers.trial_task import Failure, TrialTask

GPU = Gpu("host", "0", "node")
PLACEMENT = Placement("node", "host", 17, (GPU,))


def make_searcher(trials, trials_at_a_time, gpus=0):
    queue = FakeQueue(trials)
    cluster = FakeCluster(trials_at_a_time, gpus)
    return TrialSearcher(queue, cluster, GpuWatch(cluster, queue.recorder))


def test_a_task_says_which_epochs_are_reported_and_until_where_to_train():
    record = trial_record(seed=0)
    candidate = Candidate.parse(record.candidate)
    task = TrialTask(key=record.key, candidate=candidate, seed=0, until=2, reported_epochs=1)
    assert make_searcher(1, trials_at_a_time=1).suggest("x") == {"task": task}


def test_the_queue_is_asked_only_while_fewer_trials_run_than_fit():
    searcher = make_searcher(3, trials_at_a_time=2)
    assert [searcher.suggest(name) is None for name in "xyz"] == [False, False, True]
    assert [record.seed for record in searcher.queue.waiting] == [2]


def test_a_trial_that_ends_makes_room_for_the_next():
    searcher = make_searcher(3, trials_at_a_time=2)
    for name in "xy":
        searcher.suggest(name)
    searcher.on_trial_complete("y", error=True)
    assert searcher.queue.ended == [1]
    assert searcher.suggest("z")["task"].seed == 2


def test_the_searcher_is_finished_only_when_no_trial_runs():
    searcher = make_searcher(1, trials_at_a_time=2)
    searcher.suggest("x")
    assert searcher.suggest("y") is None
    searcher.on_trial_complete("x")
    assert searcher.suggest("y") == TrialSearcher.FINISHED


def make_sick(searcher, monkeypatch):
    """Let two trials fail on the GPU, whose blocker never gets it."""
    monkeypatch.setattr(searcher.gpu_watch.blockers, "poll", lambda trials_on, now: True)
    for key in "ab":
        searcher.gpu_watch.on_start(key, PLACEMENT)
        searcher.gpu_watch.on_device_failure(key, Failure("device", "ECC error"))
        searcher.gpu_watch.on_end(key)


def test_while_a_sick_gpu_is_being_blocked_no_trial_is_started_beside_others(monkeypatch):
    searcher = make_searcher(3, trials_at_a_time=3, gpus=2)
    searcher.suggest("x")
    make_sick(searcher, monkeypatch)
    assert searcher.suggest("y") is None
    searcher.on_trial_complete("x")
    assert searcher.suggest("y")["task"].seed == 1


def test_without_a_healthy_gpu_the_searcher_is_finished(monkeypatch):
    searcher = make_searcher(3, trials_at_a_time=1, gpus=1)
    searcher.suggest("x")
    make_sick(searcher, monkeypatch)
    assert searcher.suggest("y") is None
    searcher.on_trial_complete("x")
    assert searcher.suggest("y") == TrialSearcher.FINISHED


def test_a_trial_that_begins_on_a_sick_gpu_is_stopped(monkeypatch):
    searcher = make_searcher(1, trials_at_a_time=1, gpus=2)
    stop = StopOnSickGpu(searcher.gpu_watch)
    assert not stop("x", {"placement": PLACEMENT})
    make_sick(searcher, monkeypatch)
    assert stop("x", {"placement": PLACEMENT})
    assert not stop("x", {"placement": None})
    assert not stop.stop_all()


def run_with(monkeypatch, *outcomes):
    """Let each run of Tune take two trials and end with the next outcome, an exception or None. What was recorded."""
    queue = FakeQueue(4)
    left = list(outcomes)

    def fit(tuner):
        searcher = tuner._local_tuner._tune_config.search_alg
        searcher.suggest("x")
        searcher.suggest("y")
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(Tuner, "fit", fit)
    assert ray_trials.train(queue, FakeCluster(2), TuneTrial, StallDetector()) == 0
    return queue


def caused_by(error, cause):
    error.__cause__ = error.__context__ = cause
    return error


def test_a_shortage_of_memory_restarts_the_trials_that_ran(monkeypatch):
    queue = run_with(monkeypatch, caused_by(RuntimeError("unexpected"), OutOfMemoryError("killed")), None)
    message = "its process was killed because memory ran out"
    assert queue.recorder.told == [("interruption", trial_record(seed=seed).key, message) for seed in (0, 1)]
    assert queue.ended == [0, 1]


def test_an_error_of_the_disk_leaves_tune_as_it_is(monkeypatch):
    with pytest.raises(OSError, match="No space left"):
        run_with(monkeypatch, caused_by(TuneError("a traceback"), OSError(errno.ENOSPC, "No space left on device")))


def test_another_error_of_tune_is_not_hidden(monkeypatch):
    with pytest.raises(RuntimeError, match="unexpected"):
        run_with(monkeypatch, RuntimeError("unexpected"))
