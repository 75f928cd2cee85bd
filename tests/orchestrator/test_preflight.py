"""Estimates of studies, solved by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator.plan import SearchOptions
from orchestrator.preflight import (
    Measurements,
    candidate_sizes,
    disk_bytes,
    estimate_study,
    extreme_candidates,
    remaining_disk_bytes,
)
from results.statistics.power import smallest_difference
from results.store import Study
from tests.support.plans import plan_for
from tests.support.studies import trial_record
from trainers.cost import Cost, ModelSize
from trainers.recipes import DIGITS
from trainers.resources import Resources

SMALL = Cost("CPU", 64, 100, 1000, images_per_second=400.0, train_images_per_second=200.0, peak_memory=None)
LARGE = replace(SMALL, num_params=300, flops=3000, images_per_second=200.0, train_images_per_second=100.0)
SIZES = {
    "small": ModelSize(num_params=100, flops=1000),
    "middle": ModelSize(num_params=1_000_000, flops=2000),
    "large": ModelSize(num_params=300, flops=3000),
}
MEASURED = Measurements(costs=[SMALL, LARGE], resources=Resources(), trials_at_a_time=2)


def trials(*candidates, seeds=1, **changes):
    """A trial of four epochs for each candidate and seed."""
    return [trial_record(name, seed, candidate=name, **changes) for name in candidates for seed in range(seeds)]


def estimate(study, requested, measured=MEASURED):
    """The estimate for 900 training, 100 validation and 200 test images and one comparison."""
    plan = SimpleNamespace(
        study=study,
        recipe=replace(DIGITS, val_fraction=0.1),
        data=SimpleNamespace(num_train=1000, num_test=200),
        options=SearchOptions(),
        num_comparisons=lambda: 1,
    )
    return estimate_study(plan, requested, SIZES, measured)


def test_the_smallest_and_the_largest_candidate_are_measured():
    assert extreme_candidates(SIZES) == ["small", "large"]
    assert extreme_candidates({"only": SIZES["small"]}) == ["only"]


def test_candidates_seeds_and_trials_are_counted(study):
    requested = trials("small", "large", seeds=2)
    requested[0] = replace(requested[0], status="done")
    found = estimate(study, requested)
    assert (found.num_candidates, found.num_seeds, found.num_requested, found.num_pending) == (2, 2, 4, 3)


def test_trials_at_a_time_share_the_total_time(study):
    found = estimate(study, trials("small", seeds=4))
    # Four epochs of 4.75 s and half a second for the test images.
    assert found.longest_pending_seconds == pytest.approx(19.5)
    assert found.total_seconds == pytest.approx(2 * 19.5)


def test_a_single_trial_takes_as_long_as_it_takes(study):
    assert estimate(study, trials("small")).total_seconds == pytest.approx(19.5)


def test_the_longest_epoch_is_the_slowest_candidates_with_the_test_images(study):
    # 900 images at 100, 100 and 200 at 200 images a second; trials that share a GPU take turns.
    assert estimate(study, trials("small")).longest_epoch_seconds == pytest.approx(9 + 0.5 + 1)
    shared = replace(MEASURED, resources=Resources(device="cuda", trials_per_gpu=4))
    assert estimate(study, trials("small"), shared).longest_epoch_seconds == pytest.approx(4 * 10.5)


def test_epochs_that_a_trial_has_are_not_counted_again(study):
    assert estimate(study, trials("small", epoch=3)).total_seconds == pytest.approx(4.75 + 0.5)


def test_nothing_to_train_takes_no_time_and_no_disk(study):
    found = estimate(study, trials("small", status="done"))
    assert (found.longest_pending_seconds, found.total_seconds, found.disk_bytes) == (0, 0, 0)


def test_disk_counts_checkpoints_and_rows():
    # Three trials of 12 MB, a second checkpoint for each of the two that run, and three times 30 kB of rows.
    assert disk_bytes([1_000_000] * 3, trials_at_a_time=2) == 60_090_000
    assert disk_bytes([1_000_000] * 3, trials_at_a_time=2, averaged=True) == 80_090_000


def test_a_disk_that_is_too_small_does_not_suffice(study):
    found = estimate(study, trials("middle", seeds=3))
    assert found.disk_bytes == 60_090_000
    assert found.disk_suffices
    assert not replace(found, free_bytes=60_000_000).disk_suffices


def test_the_free_space_of_an_object_store_is_unknown(s3):
    found = estimate(Study("s", s3), trials("middle"))
    assert found.free_bytes is None
    assert found.disk_suffices


def test_one_seed_resolves_nothing(study):
    assert estimate(study, trials("small", "large")).resolution is None


def test_several_seeds_resolve_what_the_t_test_does(study):
    resolution = estimate(study, trials("small", seeds=5)).resolution
    assert resolution.points == pytest.approx(smallest_difference(0.5, 5))
    assert (resolution.sd, resolution.measured, resolution.num_comparisons) == (0.5, False, 1)


def test_the_noise_is_the_studys_own_where_it_has_seeds(study):
    for seed, top1 in enumerate((90.0, 91.0, 92.0)):
        record = trial_record(seed=seed, status="done", epoch=4, top1=top1, test_top1=top1)
        study.write("trials", record.key, [record])
    resolution = estimate(study, trials("small", seeds=5)).resolution
    assert (resolution.sd, resolution.measured) == (1.0, True)


def test_images_in_memory_need_no_loader(study):
    assert estimate(study, trials("small")).loader is None


def test_the_loader_keeps_up_with_the_fastest_candidate(study):
    measured = replace(MEASURED, resources=Resources(threads=8), decoding_speed=100.0)
    assert estimate(study, trials("small"), measured).loader.workers == 3  # 1.2 times 200 images per second


def test_sizes_are_those_of_the_trials_and_of_what_is_always_trained(tmp_path):
    plan = plan_for("--results", tmp_path)
    sizes = candidate_sizes(plan, [])
    assert list(sizes) == [str(candidate) for candidate in plan.candidates]
    assert sizes["caformer_micro-dwconv-dwconv-attn-attn"].num_params == 350_840


def test_the_remaining_disk_is_that_of_the_pending_trials(tmp_path):
    plan = plan_for("--results", tmp_path)
    sizes = candidate_sizes(plan, []).values()
    assert remaining_disk_bytes(plan, trials_at_a_time=1) == disk_bytes([size.num_params for size in sizes], 1)
