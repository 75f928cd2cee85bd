import pytest

from trainers.data.class_folders import open_class_folders
from trainers.data.decoding_estimate import DecodingEstimate, decoding_speed
from trainers.resources import Resources


@pytest.mark.parametrize(
    ("resources", "model", "workers"),
    [
        (Resources(threads=16, device="cuda"), 500, 6),  # 1.2 * 500 / 100
        (Resources(threads=4, device="cuda"), 500, 3),
        (Resources(threads=1, device="cuda"), 500, 1),
        (Resources(threads=1), 5, 0),
        (Resources(threads=4), 5, 1),
    ],
)
def test_as_many_workers_as_keep_up_and_as_there_are_threads(resources, model, workers):
    assert DecodingEstimate.for_model(100, model, resources).workers == workers


def test_with_workers_the_slower_of_loader_and_model_decides():
    assert DecodingEstimate(worker_speed=100, workers=2).seconds_per_image(1 / 50) == 1 / 50
    assert DecodingEstimate(worker_speed=100, workers=2).seconds_per_image(1 / 1000) == 1 / 200
    assert DecodingEstimate(worker_speed=100, workers=2, ranks=4).seconds_per_image(1 / 1000) == 1 / 800


def test_without_a_worker_decoding_comes_on_top():
    assert DecodingEstimate(worker_speed=100, workers=0).seconds_per_image(0.01) == pytest.approx(0.02)


def test_the_summary_says_what_limits():
    summary = DecodingEstimate(100, 6).summary(500)
    assert summary.endswith("6 loader processes; the loader 600, the model 500 images/s: the model limits")
    summary = DecodingEstimate(100, 3, ranks=2).summary(700)
    assert "3 loader processes for each of 2 ranks" in summary
    assert summary.endswith("the loader limits")
    assert "no loader process; " in DecodingEstimate(100, 0).summary(5)


def test_decoding_of_a_stream_is_measured(jpeg_folders, tiny_ablation):
    speed = decoding_speed(open_class_folders(jpeg_folders), tiny_ablation, max_images=5)
    assert 1 < speed < 1e6


def test_images_in_memory_need_no_decoding(shapes, quick):
    assert decoding_speed(shapes, quick) is None


def test_a_corrupt_image_is_named(jpeg_folders, tiny_ablation):
    for path in (jpeg_folders / "train").rglob("*.jpeg"):
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"\.jpeg cannot be decoded"):
        decoding_speed(open_class_folders(jpeg_folders), tiny_ablation)
