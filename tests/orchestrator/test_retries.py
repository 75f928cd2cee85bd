import pytest

from orchestrator.retries import Retries


@pytest.mark.parametrize(
    ("kinds", "counts"),
    [
        (["process died"] * 3, [0, 0, 3]),
        (["device", "process died", "device"], [0, 0, 3]),
        (["io", "io"], [0, 2]),
        (["device", "io", "device"], [0, 0, 3]),
    ],
)
def test_so_many_interruptions_are_too_many(kinds, counts):
    retries = Retries()
    assert [retries.on_interruption("k", kind) for kind in kinds] == counts


def test_each_trial_has_its_own_count_and_an_epoch_ends_it():
    retries = Retries()
    retries.on_interruption("k", "io")
    assert retries.on_interruption("other", "io") == 0
    retries.on_epoch("k")
    assert retries.on_interruption("k", "io") == 0
    assert retries.on_interruption("k", "io") == 2
