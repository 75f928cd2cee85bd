import pytest

from results.statistics.significance import holm, small_sample_factor


def test_holm_gives_a_textbook_s_values():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_no_tests_is_empty():
    assert holm([]).tolist() == []


def test_adjusted_p_values_stay_below_one():
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("seeds", "factor"), [(2, 1.15), (3, 1.15), (4, 1.0), (10, 1.0)])
def test_p_is_raised_where_no_permutation_p_reaches_the_level(seeds, factor):
    assert small_sample_factor(seeds, seeds) == factor
