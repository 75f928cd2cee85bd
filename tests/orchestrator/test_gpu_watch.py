import pytest

from orchestrator.gpu_placement import Gpu, Placement
from orchestrator.gpu_watch import GpuWatch
from tests.support.fake_queue import FakeCluster, FakeRecorder
from trainers.trial_task import Failure

GPUS = (Gpu("host", "0", "node"), Gpu("host", "1", "node"))
ERROR = Failure("device", "ECC error", rank=1)


@pytest.fixture
def watch():
    return GpuWatch(FakeCluster(1, gpus=2), FakeRecorder())


def fail(watch, key, failure, gpus=GPUS):
    watch.on_start(key, Placement("node", "host", 17, gpus))
    watch.on_device_failure(key, failure)
    watch.on_end(key)


def test_the_gpu_of_the_rank_that_failed_twice_is_out_of_use_and_that_is_said(watch):
    for key in "ab":
        fail(watch, key, ERROR)
    assert watch.cluster.excluded == [GPUS[1]]
    line = "GPU 1 of host is out of use for this command after 2 errors: ECC error; ECC error"
    assert watch.recorder.told == [("line", line)]
    assert not watch.may_train_at(Placement("node", "host", 17, GPUS))


def test_the_end_of_the_last_gpu_is_said(watch):
    for gpu in GPUS:
        for key in "ab":
            fail(watch, key, ERROR, gpus=(gpu,))
    assert watch.cluster.lacks_healthy_gpus()
    assert watch.recorder.told[-1] == ("line", "the healthy GPUs that are left hold no trial: the search ends here")


def test_a_connection_that_fails_is_no_gpus_fault(watch):
    for key in "abc":
        fail(watch, key, Failure("device", "NCCL error", rank=None))
        fail(watch, key, ERROR, gpus=())
    assert watch.cluster.excluded == []


def test_nothing_is_blocked_while_no_gpu_is_sick(watch):
    fail(watch, "a", ERROR)
    assert not watch.is_blocking()
    assert watch.may_train_at(Placement("node", "host", 17, GPUS))


def test_a_gpu_that_is_excluded_before_the_start_is_out_of_use():
    cluster = FakeCluster(1, gpus=2)
    cluster.exclude(GPUS[0])
    watch = GpuWatch(cluster, FakeRecorder())
    assert not watch.may_train_at(Placement("node", "host", 17, GPUS[:1]))
    assert watch.may_train_at(Placement("node", "host", 17, GPUS[1:]))
    fail(watch, "k", Failure("device", "ECC error", rank=0))
    assert watch.cluster.excluded == [GPUS[0]]
    assert watch.recorder.told == []
