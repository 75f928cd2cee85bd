"""What becomes of what Tune tells, with a fake queue and cluster: no Ray process."""

import errno
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError, RayTaskError

from orchestrator.gpu_placement import Gpu, Placement
from orchestrator.gpu_watch import GpuWatch
from orchestrator.interrupts import Interrupts
from orchestrator.stall_detector import StallDetector
from orchestrator.trial_callback import TrialCallback, error_line
from storage.write_error import WriteError
from tests.support.fake_queue import FakeCluster, FakeQueue
from tests.support.reports import make_report
from tests.support.studies import trial_record
from trainers.trial_task import Failure

GPUS = (Gpu("host", "2", "node"), Gpu("host", "3", "node"))
ILLEGAL_ACCESS = Failure("device", "CUDA error: an illegal memory access was encountered", rank=1)
UNREADABLE = Failure("io", "a.png cannot be read: Stale file handle")


class FakeErrors(dict):
    """The exceptions with which Ray ended trials, by Tune's id."""

    def pop(self, trial_id):
        return self.get(trial_id)


@pytest.fixture
def queue():
    return FakeQueue(0)


@pytest.fixture
def recorder(queue):
    return queue.recorder


@pytest.fixture
def callback(queue):
    gpu_watch = GpuWatch(FakeCluster(2, gpus=4), queue.recorder)
    return TrialCallback(queue, Interrupts(), StallDetector(timeout_seconds=0.0), FakeErrors(), gpu_watch)


def tune_trial(key="k", **fields):
    """Tune's view of a trial."""
    return SimpleNamespace(config={"task": SimpleNamespace(key=key)}, trial_id="t", **fields)


def step(placement=None, report=None, failure=None):
    """The result of a step."""
    return {"placement": placement, "report": report, "failure": failure}


def fail(callback, failure, gpus=GPUS):
    """Let the trial `k` begin on these GPUs, fail and end."""
    callback.on_trial_result(0, [], tune_trial(), step(placement=Placement("node", "host", 17, gpus)))
    callback.on_trial_result(0, [], tune_trial(), step(failure=failure))
    callback.on_trial_complete(0, [], tune_trial(last_result=step(failure=failure)))


def test_a_report_becomes_rows(callback, recorder):
    report = make_report([90.0, 91.0], note="went on")
    callback.on_trial_result(0, [], tune_trial(), step(report=report))
    assert recorder.told == [("report", "k", 2, 2, "went on")]


@pytest.mark.parametrize(("finished", "status"), [(True, "done"), (False, "paused")])
def test_the_last_report_decides_the_status(callback, recorder, finished, status):
    report = make_report([90.0], finished=finished)
    callback.on_trial_complete(0, [], tune_trial(last_result={"report": report}))
    assert recorder.told == [("end", "k", status)]


def test_a_failure_is_recorded_once_with_the_last_line_of_its_traceback(callback, recorder):
    failure = Failure("error", "'x'", "Traceback\nKeyError: 'x'")
    callback.on_trial_result(0, [], tune_trial(), step(failure=failure))
    callback.on_trial_complete(0, [], tune_trial(last_result={"report": None}))
    assert recorder.told == [("failure", "k", "KeyError: 'x'")]


def test_a_full_disk_ends_the_run(callback):
    failure = Failure("disk", "No space left on device", errno=errno.ENOSPC)
    with pytest.raises(WriteError, match=r"^\[Errno 28\] No space left on device$"):
        callback.on_trial_result(0, [], tune_trial(), step(failure=failure))


def test_the_line_of_a_failure_without_a_traceback_is_its_message():
    assert error_line(Failure("process died", "a rank died")) == "a rank died"


def test_an_error_that_was_raised_fails_the_trial(callback, recorder):
    callback.errors["t"] = RayTaskError("train", "in step\nKeyError: 'x'", KeyError("x"), "T", 1, "10.0.0.1")
    callback.on_trial_error(0, [], tune_trial())
    assert recorder.told == [("failure", "k", "KeyError: 'x'")]


def test_a_dead_process_is_tried_again(callback, recorder):
    callback.errors["t"] = ActorDiedError()
    callback.on_trial_error(0, [], tune_trial())
    assert recorder.told == [("interruption", "k", "its process died")]


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
    expected = [("start", "k"), ("interruption", "k", message), ("start", "k"), ("failure", "k", f"{message}, twice")]
    assert recorder.told == expected


def test_the_line_of_an_error_is_the_first_that_its_exception_says():
    traceback = (
        "Traceback\n  step()\ntorch.AcceleratorError: CUDA error: device-side assert triggered\nCompile with ...\n"
    )
    failure = Failure("error", "CUDA error: device-side assert triggered", traceback)
    assert error_line(failure) == "torch.AcceleratorError: CUDA error: device-side assert triggered"


def test_a_trial_that_a_device_failed_goes_on_and_says_which_device_it_was(callback, queue, recorder):
    fail(callback, ILLEGAL_ACCESS)
    assert recorder.told == [("interruption", "k", f"{ILLEGAL_ACCESS.message} on GPU 3 of host")]
    assert queue.standing_back == ["k"]
    assert not callback.gpu_watch.sick_gpus.placements


def test_the_third_interruption_without_an_epoch_fails_the_trial(callback, recorder):
    for _ in range(2):
        fail(callback, ILLEGAL_ACCESS, gpus=())
    callback.errors["t"] = ActorDiedError()
    callback.on_trial_error(0, [], tune_trial())
    line = "its process died; interrupted 3 times without an epoch"
    assert [told[0] for told in recorder.told] == ["interruption", "interruption", "failure"]
    assert recorder.told[-1] == ("failure", "k", line)


def test_an_epoch_in_between_starts_the_count_again(callback, recorder):
    for epochs in range(1, 5):
        fail(callback, UNREADABLE, gpus=())
        recorder.records["k"] = trial_record(key="k", epoch=epochs - 1)
        callback.on_trial_result(0, [], tune_trial(), step(report=make_report([90.0] * epochs)))
    assert "failure" not in [told[0] for told in recorder.told]


def test_an_image_that_cannot_be_read_costs_one_retry_and_then_its_trial(callback, recorder):
    for _ in range(2):
        fail(callback, UNREADABLE, gpus=())
    failed = ("failure", "k", f"{UNREADABLE.message}; interrupted 2 times without an epoch")
    assert recorder.told == [("interruption", "k", UNREADABLE.message), failed]


def test_a_rank_that_died_too_often_within_the_trial_is_not_tried_again(callback, recorder):
    fail(callback, Failure("process died", "rank 1 died with exit code -9"))
    assert recorder.told == [("failure", "k", "rank 1 died with exit code -9")]


@pytest.mark.parametrize(("message", "keys"), [("(pid=17, 3 GB)", ["a"]), ("somebody", ["a", "b"])])
def test_a_shortage_of_memory_counts_for_the_process_that_ray_names(callback, recorder, message, keys):
    for key, process in (("a", 17), ("b", 171)):
        callback.on_trial_result(0, [], tune_trial(key), step(placement=Placement("node", "host", process)))
    callback.on_memory_shortage([trial_record(key="a"), trial_record(key="b")], message)
    told = "its process was killed because memory ran out"
    assert recorder.told == [("interruption", key, told) for key in keys]
    assert not callback.gpu_watch.sick_gpus.placements
