from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from results.statistics.two_sample_tests import (
    bootstrap_interval,
    equivalence_test,
    permutation_test,
    probability_better,
    t_test,
)

THREE = np.array([90.0, 90.1, 90.2])
OTHER_THREE = np.array([90.0, 90.35, 90.7])
FOUR = np.array([89.8, 90.1, 90.2, 90.35])
FIVE = np.array([90.0, 90.3, 90.4, 90.9, 90.5])


def test_students_p_is_that_of_its_formula():
    standard_error = sqrt((np.var(THREE, ddof=1) + np.var(OTHER_THREE, ddof=1)) / 3)
    assert t_test(OTHER_THREE, THREE, "student") == pytest.approx(2 * stats.t.sf(0.25 / standard_error, 4))


def test_welchs_p_is_that_of_its_formula():
    a = np.var(FIVE, ddof=1) / 5
    b = np.var(FOUR, ddof=1) / 4
    t = (np.mean(FIVE) - np.mean(FOUR)) / sqrt(a + b)
    df = (a + b) ** 2 / (a**2 / 4 + b**2 / 3)
    assert t_test(FIVE, FOUR, "welch") == pytest.approx(2 * stats.t.sf(t, df))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["student", "welch"])
def test_a_t_test_takes_one_constant_sample(kind):
    constant = np.array([90.1, 90.1, 90.1])
    assert 0 < t_test(THREE, constant, kind) <= 1


def test_equivalence_is_two_one_sided_welch_tests():
    below = stats.ttest_ind(FIVE + 0.8, FOUR, equal_var=False, alternative="greater").pvalue
    above = stats.ttest_ind(FIVE - 0.8, FOUR, equal_var=False, alternative="less").pvalue
    assert equivalence_test(FIVE, FOUR, margin=0.8) == pytest.approx(max(below, above))


@pytest.mark.filterwarnings("error")
def test_an_equivalence_test_takes_one_constant_sample():
    t = (0.5 - 0.1) / sqrt(np.var(THREE, ddof=1) / 3)
    assert equivalence_test(THREE, np.full(3, 90.0), margin=0.5) == pytest.approx(stats.t.sf(t, 2))


def test_the_permutation_p_counts_all_splits():
    other = [*THREE, 90.35, 90.6]
    pool = [*FIVE, *other]
    observed = abs(2 * sum(FIVE) - sum(pool))
    as_far = [abs(2 * sum(sample) - sum(pool)) >= observed - 1e-9 for sample in combinations(pool, 5)]
    p, _ = permutation_test(FIVE, np.array(other))
    assert p == pytest.approx(np.mean(as_far))


def test_the_permutation_test_agrees_with_one_exchange_at_four_seeds():
    p, agrees = permutation_test(np.array([90.4, 90.7, 90.8, 90.9]), np.array([90.0, 90.1, 90.2, 90.5]))
    assert p == pytest.approx(4 / 70)
    assert agrees


def test_the_permutation_test_disagrees_where_many_splits_differ_as_much():
    p, agrees = permutation_test(np.array([90.2, 90.3, 90.5, 90.5, 90.5]), np.array([89.9, 90.0, 90.0, 90.3, 90.4]))
    assert p == pytest.approx(18 / 252)
    assert not agrees


def test_the_bootstrap_interval_is_the_same_each_time():
    low, high = bootstrap_interval(THREE + 1, THREE)
    assert 0.5 < low < 1.0 < high < 1.5
    assert bootstrap_interval(THREE + 1, THREE) == (low, high)


def test_ties_count_half():
    assert probability_better(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == (0.5 + 3) / 4
