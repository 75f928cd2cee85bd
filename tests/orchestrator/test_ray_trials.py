"""What Tune is given and what is made of what it says, with a fake queue and cluster: no Ray process."""

import errno
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayTaskError
from ray.tune import TuneError, Tuner

from orchestrator import ray_trials
from orchestrator.interrupts import Interrupts
from orchestrator.ray_trials import TrialCallback, TrialSearcher, TuneTrial, error_line
from orchestrator.stall_detector import StallDetector
from searchspace.candidate import Candidate
from tests.support.reports import make_report
from tests.support.studies import trial_record
from trainers.resources import TrialRequest
from trainers.trial_task import Failure, TrialTask


class FakeQueue:
    """So many trials, each to be trained to two epochs, and those that have ended."""

    def __init__(self, number):
        self.waiting = [trial_record(seed=seed, epoch=1) for seed in range(number)]
        self.ended = []
        self.recorder = FakeRecorder()

    def next_trial(self):
        return (self.waiting.pop(0), 2) if self.waiting else None

    def on_trial_end(self, record):
        self.ended.append(record.seed)


class FakeRecorder:
    """Remembers what it is told."""

    def __init__(self):
        self.told = []
        self.records = {"k": trial_record(key="k")}

    def on_start(self, key):
        self.told.append(("start", key))

    def on_report(self, record, epochs, note):
        self.told.append(("report", record.key, record.epoch, len(epochs), note))

    def on_end(self, key, status):
        self.told.append(("end", key, status))

    def on_failure(self, key, message, traceback=""):
        self.told.append(("failure", key, message))

    def on_process_death(self, key, how, details=""):
        self.told.append(("process death", key, how))


def make_cluster(trials_at_a_time):
    return SimpleNamespace(trials_at_a_time=lambda: trials_at_a_time, request=TrialRequest(cpus=1, gpus=0))


def make_searcher(trials, trials_at_a_time):
    return TrialSearcher(FakeQueue(trials), make_cluster(trials_at_a_time))


@pytest.fixture
def recorder():
    return FakeRecorder()


@pytest.fixture
def callback(recorder):
    return TrialCallback(recorder, Interrupts(), StallDetector(timeout_seconds=0.0), FakeErrors())


class FakeErrors(dict):
    """The exceptions with which Ray ended trials, by Tune's id."""

    def pop(self, trial_id):
        return self.get(trial_id)


def tune_trial(**fields):
    """Tune's view of the trial `k`."""
    return SimpleNamespace(config={"task": SimpleNamespace(key="k")}, trial_id="t", **fields)


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


def test_a_report_becomes_rows(callback, recorder):
    report = make_report([90.0, 91.0], note="went on")
    callback.on_trial_result(0, [], tune_trial(), {"report": report, "failure": None})
    assert recorder.told == [("report", "k", 2, 2, "went on")]


@pytest.mark.parametrize(("finished", "status"), [(True, "done"), (False, "paused")])
def test_the_last_report_decides_the_status(callback, recorder, finished, status):
    report = make_report([90.0], finished=finished)
    callback.on_trial_complete(0, [], tune_trial(last_result={"report": report}))
    assert recorder.told == [("end", "k", status)]


def test_a_failure_is_recorded_once_with_the_last_line_of_its_traceback(callback, recorder):
    failure = Failure("error", "'x'", "Traceback\nKeyError: 'x'")
    callback.on_trial_result(0, [], tune_trial(), {"report": None, "failure": failure})
    callback.on_trial_complete(0, [], tune_trial(last_result={"report": None}))
    assert recorder.told == [("failure", "k", "KeyError: 'x'")]


def test_a_full_disk_ends_the_run(callback):
    failure = Failure("disk", "No space left on device", errno=errno.ENOSPC)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"):
        callback.on_trial_result(0, [], tune_trial(), {"report": None, "failure": failure})


def test_the_line_of_a_failure_without_a_traceback_is_its_message():
    assert error_line(Failure("process died", "a rank died")) == "a rank died"


def test_an_error_that_was_raised_fails_the_trial(callback, recorder):
    callback.errors["t"] = RayTaskError("train", "in step\nKeyError: 'x'", KeyError("x"), "T", 1, "10.0.0.1")
    callback.on_trial_error(0, [], tune_trial())
    assert recorder.told == [("failure", "k", "KeyError: 'x'")]


def test_a_dead_process_is_tried_again(callback, recorder):
    callback.errors["t"] = ActorDiedError()
    callback.on_trial_error(0, [], tune_trial())
    assert recorder.told == [("process death", "k", "its process died")]


def test_a_stalled_trial_is_killed_and_tried_again_once(callback, recorder, monkeypatch):
    killed = []
    monkeypatch.setattr(ray, "kill", killed.append)
    trial = tune_trial(temporary_state=SimpleNamespace(ray_actor="actor"))
    for _ in range(2):
        callback.on_trial_start(0, [], trial)
        callback.on_step_begin(0, [trial])
        callback.on_trial_error(0, [], trial)
    assert killed == ["actor"] * 2
    message = "no epoch for 0 minutes"
    expected = [("start", "k"), ("process death", "k", message), ("start", "k"), ("failure", "k", f"{message}, twice")]
    assert recorder.told == expected


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
    assert ray_trials.train(queue, make_cluster(2), TuneTrial, StallDetector()) == 0
    return queue


def caused_by(error, cause):
    error.__cause__ = error.__context__ = cause
    return error


def test_a_shortage_of_memory_restarts_the_trials_that_ran(monkeypatch):
    queue = run_with(monkeypatch, caused_by(RuntimeError("unexpected"), OutOfMemoryError("killed")), None)
    message = "its process was killed because memory ran out"
    assert queue.recorder.told == [("process death", trial_record(seed=seed).key, message) for seed in (0, 1)]
    assert queue.ended == [0, 1]


def test_an_error_of_the_disk_leaves_tune_as_it_is(monkeypatch):
    with pytest.raises(OSError, match="No space left"):
        run_with(monkeypatch, caused_by(TuneError("a traceback"), OSError(errno.ENOSPC, "No space left on device")))


def test_another_error_of_tune_is_not_hidden(monkeypatch):
    with pytest.raises(RuntimeError, match="unexpected"):
        run_with(monkeypatch, RuntimeError("unexpected"))
