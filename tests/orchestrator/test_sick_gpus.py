from orchestrator.gpu_placement import Gpu, Placement
from orchestrator.sick_gpus import DeviceError, SickGpus

A = Gpu("host", "0", "node")
B = Gpu("host", "1", "node")


def fail(sick_gpus, gpu, key, *, is_last=False, message="ECC error"):
    return sick_gpus.on_error(gpu, DeviceError(key, message), is_last=is_last)


def complete_epoch(sick_gpus, gpu, key):
    sick_gpus.on_start(key, Placement("node", "host", 17, (gpu,)))
    sick_gpus.on_epoch(key)


def test_two_errors_make_a_gpu_sick_and_others_stay():
    sick_gpus = SickGpus()
    assert not fail(sick_gpus, A, "k")
    assert not fail(sick_gpus, B, "j")
    assert fail(sick_gpus, A, "j", message="illegal memory access")
    assert sick_gpus.describe(A) == (
        "GPU 0 of host is out of use for this command after 2 errors: ECC error; illegal memory access"
    )
    assert list(sick_gpus.sick) == [A]
    assert sick_gpus.has_sick(Placement("node", "host", 17, (B, A)))
    assert not sick_gpus.has_sick(Placement("node", "host", 17, (B,)))


def test_one_trial_alone_does_not_take_the_last_gpu():
    sick_gpus = SickGpus()
    assert [fail(sick_gpus, A, "k", is_last=True) for _ in range(3)] == [False] * 3
    assert fail(sick_gpus, A, "j", is_last=True)


def test_a_trial_that_fails_everywhere_is_to_blame_where_another_completes_an_epoch():
    sick_gpus = SickGpus()
    fail(sick_gpus, A, "k")
    fail(sick_gpus, B, "k")
    complete_epoch(sick_gpus, A, "other")
    assert not fail(sick_gpus, A, "j")
    assert fail(sick_gpus, B, "j")


def test_an_error_of_a_trial_that_failed_once_stays():
    sick_gpus = SickGpus()
    fail(sick_gpus, A, "k")
    complete_epoch(sick_gpus, A, "other")
    complete_epoch(sick_gpus, A, "k")
    assert fail(sick_gpus, A, "j")


def test_running_trials_are_counted_until_they_end():
    sick_gpus = SickGpus()
    for key in "kj":
        sick_gpus.on_start(key, Placement("node", "host", 17, (A,)))
    assert (sick_gpus.trials_on(A), sick_gpus.trials_on(B)) == (2, 0)
    sick_gpus.on_end("k")
    sick_gpus.on_end("k")
    assert sick_gpus.trials_on(A) == 1
