import numpy as np
import pytest

from schedulers.race_seeds import SeedMeans


def test_candidates_are_sorted_and_averaged():
    seeds = SeedMeans.of({5: [90.0, 92.0], 2: [80.0], 7: []})
    assert seeds.candidates.tolist() == [2, 5]
    assert seeds.means.tolist() == [80.0, 91.0]
    assert seeds.counts.tolist() == [1, 2]


def test_the_sd_is_pooled_with_a_guess():
    """Means 80 and 91, variance 30.25, guess 30.25 / 4 on 2 degrees of freedom; the seeds' squares are 2 on 1."""
    seeds = SeedMeans.of({0: [90.0, 92.0], 1: [80.0]})
    assert seeds.degrees_of_freedom == 3
    assert seeds.sd**2 == pytest.approx((2 * 30.25 / 4 + 2) / 3)


def test_a_mean_far_below_the_median_is_raised():
    """Best 92, median 90: nothing counts as less than 88."""
    seeds = SeedMeans.of({0: [92.0], 1: [90.0], 2: [10.0]})
    assert seeds.means.tolist() == [92.0, 90.0, 88.0]


def test_a_candidate_that_never_trains_does_not_widen_the_sd():
    rng = np.random.default_rng(0)
    runs = {candidate: list(rng.normal(90 + candidate / 5, 0.2, 3)) for candidate in range(10)}
    seeds = SeedMeans.of(runs | {10: [10.0, 10.0], 11: [10.0, 90.0]})
    assert seeds.sd == pytest.approx(0.2, rel=0.5)
    assert seeds.means.min() > 80


def test_without_runs_there_are_no_means():
    assert len(SeedMeans.of({}).means) == 0


def test_a_subset_keeps_the_pooled_sd():
    seeds = SeedMeans.of({0: [90.0, 92.0], 1: [80.0], 2: [85.0]})
    some = seeds.subset(np.array([2, 0]))
    assert (some.candidates.tolist(), some.sd) == ([2, 0], seeds.sd)
