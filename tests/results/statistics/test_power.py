from math import inf, isnan, sqrt

import pytest
from scipy import stats

from results.statistics.power import POWER, pooled_sd, power, seeds_needed, smallest_difference
from results.statistics.significance import ALPHA, small_sample_factor


@pytest.mark.parametrize(("difference", "normal"), [(0.1, 36), (0.2, 9), (0.3, 4)])
def test_seeds_needed_are_one_or_two_above_the_normal_approximation(difference, normal):
    assert normal < seeds_needed(difference, 0.15) <= normal + 2


@pytest.mark.parametrize("comparisons", [1, 6])
def test_seeds_needed_are_the_fewest_with_the_power(comparisons):
    seeds = seeds_needed(0.2, 0.15, comparisons)
    assert (
        noncentral_power(0.2 / 0.15, seeds, comparisons) >= POWER > noncentral_power(0.2 / 0.15, seeds - 1, comparisons)
    )


def noncentral_power(effect, seeds, comparisons):
    df = 2 * seeds - 2
    shift = effect * sqrt(seeds / 2)
    critical = stats.t.isf(ALPHA / comparisons / 2, df)
    return stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)


@pytest.mark.parametrize(
    ("difference", "sd"), [(0.0, 1.0), (0.001, 1.0), (1.0, 0.0), (float("nan"), 1.0), (1.0, float("nan"))]
)
def test_seeds_needed_are_unknown_without_a_difference_or_noise(difference, sd):
    assert seeds_needed(difference, sd) is None


@pytest.mark.parametrize("seeds", [2, 3, 10, 1000])
def test_the_smallest_difference_has_the_power(seeds):
    level = ALPHA / 6 / small_sample_factor(seeds, seeds)
    assert power(smallest_difference(0.15, seeds, 6) / 0.15, seeds, level) == pytest.approx(POWER)


def test_a_single_seed_shows_no_difference():
    assert smallest_difference(0.15, 1) == inf


def test_the_pooled_sd_weights_groups_by_degrees_of_freedom():
    assert pooled_sd([[0.0, 2.0], [1.0, 2.0, 3.0], [7.0]]) == pytest.approx(sqrt((2 + 2) / 3))
    assert isnan(pooled_sd([[1.0], []]))
