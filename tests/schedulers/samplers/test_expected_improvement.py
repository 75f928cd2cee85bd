import numpy as np
import pytest

from schedulers.samplers.expected_improvement import expected_gain, expected_improvement
from tests.support.invented_spaces import full_space


def test_at_the_level_it_is_a_share_of_the_standard_deviation():
    improvement = expected_improvement(np.array([1.0]), np.array([2.0]), level=1.0)
    assert improvement == pytest.approx(2 / np.sqrt(2 * np.pi))


def test_far_below_the_level_it_is_not_negative():
    assert expected_improvement(np.array([-50.0]), np.array([1.0]), level=0.0) >= 0


def test_without_costs_the_gain_is_over_the_best_observed_mean():
    mean, sd = np.array([1.0, 2.0, 5.0]), np.ones(3)
    gain = expected_gain(full_space(3), mean, sd, observed=np.array([0, 1]))
    np.testing.assert_allclose(gain, expected_improvement(mean, sd, level=2.0))


def test_the_expected_gain_with_costs_is_that_of_the_area_under_the_front():
    costs = np.array([3.0, 10.0, 10.0, 100.0, 7.0, 1e6])
    space = full_space(6, costs=costs)
    rank = np.array([0, 2, 2, 3, 1, 4])
    mean = np.array([1.0, 1.5, 3.0, 2.0, 1.2, 2.5])
    sd = np.full(6, 0.8)
    observed = np.array([0, 2, 3])

    def area(tops, ranks):
        """Of the staircase under the best top-1 of each rank or lower, but not below the worst observed."""
        total = 0.0
        for step in range(5):
            total += max((top for top, place in zip(tops, ranks, strict=True) if place <= step), default=1.0)
        return total

    before = area(mean[observed], rank[observed])
    draws = np.random.default_rng(0).normal(size=4000)
    for index in (1, 4, 5):
        tops = mean[index] + 0.8 * draws
        gains = [area([*mean[observed], top], [*rank[observed], rank[index]]) - before for top in tops]
        assert expected_gain(space, mean, sd, observed)[index] == pytest.approx(np.mean(gains), abs=0.1)
