import pytest

from trainers.data.class_folders import open_class_folders
from trainers.data.decoding_estimate import DecodingEstimate, decoding_speed
from trainers.resources import Resources


@pytest.mark.parametrize(
    ("resources", "model", "workers"),
    [
        (Resources(threads=26, device="cuda"), 500, 25),
        (Resources(threads=26, device="cuda", ranks=8), 5, 25),
        (Resources(threads=1, device="cuda"), 500, 1),
        (Resources(threads=1), 5, 0),
        (Resources(threads=4), 5, 1),
        (Resources(threads=16), 500, 6),  # 1.2 * 500 / 100
    ],
)
def test_a_gpus_loader_takes_its_share_of_the_cpus_and_a_cpus_only_what_keeps_up(resources, model, workers):
    assert DecodingEstimate.for_model(100, model, resources).workers == workers


def test_with_workers_the_slower_of_loader_and_model_decides():
    assert DecodingEstimate(worker_speed=100, workers=2).seconds_per_image(1 / 50) == 1 / 50
    assert DecodingEstimate(worker_speed=100, workers=2).seconds_per_image(1 / 1000) == 1 / 200
    assert DecodingEstimate(worker_speed=100, workers=2, ranks=4).seconds_per_image(1 / 1000) == 1 / 800


def test_without_a_worker_decoding_comes_on_top():
    assert DecodingEstimate(worker_speed=100, workers=0).seconds_per_image(0.01) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("model", "limit"), [(299, "the model limits"), (599, "the loader may limit"), (600, "the loader limits")]
)
def test_the_summary_says_what_limits(model, limit):
    summary = DecodingEstimate(100, 6).summary(model)
    assert "one process alone decodes 100 images/s; 6 loader processes; " in summary
    assert f"the loader reaches 300 (two processes on each core) to 600, the model {model} images/s" in summary
    assert summary.endswith(f": {limit}")


def test_the_summary_counts_ranks_and_trials_at_a_time():
    summary = DecodingEstimate(100, 3, ranks=2, trials_at_a_time=4).summary(700)
    assert "; 3 loader processes for each of 2 ranks a trial, 4 trials at a time; " in summary
    assert "the loader reaches 300 (two processes on each core) to 600 for each trial" in summary


def test_without_a_loader_process_loading_limits():
    assert (
        DecodingEstimate(100, 0)
        .summary(5)
        .endswith("no loader process; the loader reaches 100, the model 5 images/s: the loader limits")
    )


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
