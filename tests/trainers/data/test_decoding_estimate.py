import pytest

from trainers.data.decoding_estimate import DecodingEstimate
from trainers.resources import Resources


@pytest.mark.parametrize(
    ("share", "model", "workers"),
    [
        (Resources(threads=16, device="cuda"), 500, 6),  # 1.2 * 500 / 100
        (Resources(threads=4, device="cuda"), 500, 3),
        (Resources(threads=1, device="cuda"), 500, 1),
        (Resources(threads=1), 5, 0),
        (Resources(threads=4), 5, 1),
    ],
)
def test_as_many_processes_as_keep_up_and_as_there_are_cpus(share, model, workers):
    assert DecodingEstimate.for_model(100, model, share).workers == workers


def test_the_slower_of_loader_and_model_sets_the_pace():
    assert DecodingEstimate(decoding=100, workers=2).seconds(1 / 50) == 1 / 50
    assert DecodingEstimate(decoding=100, workers=2).seconds(1 / 1000) == 1 / 200
    assert DecodingEstimate(decoding=100, workers=2, ranks=4).seconds(1 / 1000) == 1 / 800


def test_without_a_process_of_its_own_decoding_comes_on_top():
    assert DecodingEstimate(decoding=100, workers=0).seconds(0.01) == pytest.approx(0.02)


def test_what_limits_is_said():
    assert (
        DecodingEstimate(100, 6)
        .line(500)
        .endswith("6 loader processes; the loader 600, the model 500 images/s: the model limits")
    )
    assert "3 loader processes for each of 2 ranks" in DecodingEstimate(100, 3, ranks=2).line(700)
    assert DecodingEstimate(100, 3, ranks=2).line(700).endswith("the loader limits")
