from math import isnan, sqrt

import numpy as np
import pytest
from scipy import stats

from results.statistics.linear_model import fit_linear_model, fit_trend

ZEROS_AND_ONES = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
TWO_GROUPS = np.array([70.0, 71.0, 72.0, 74.0, 73.0, 75.5, 74.5])


def test_two_groups_differ_by_their_means_within_the_pooled_t_interval():
    model = fit_linear_model([ZEROS_AND_ONES], TWO_GROUPS)
    student = stats.ttest_ind(TWO_GROUPS[3:], TWO_GROUPS[:3])
    assert model.effect.tolist() == pytest.approx([np.mean(TWO_GROUPS[3:]) - np.mean(TWO_GROUPS[:3])])
    assert (model.low[0], model.high[0]) == pytest.approx(tuple(student.confidence_interval()))
    assert model.p[0] == pytest.approx(student.pvalue)


def test_redundant_columns_have_no_effect_and_leave_the_others_theirs():
    alternating = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    alone = fit_linear_model([ZEROS_AND_ONES, alternating], TWO_GROUPS)
    model = fit_linear_model([ZEROS_AND_ONES, ZEROS_AND_ONES, alternating], TWO_GROUPS)
    assert np.isnan([model.effect[:2], model.low[:2], model.high[:2], model.p[:2]]).all()
    assert model.effect[2] == pytest.approx(alone.effect[1])
    assert model.p[2] == pytest.approx(alone.p[1])


@pytest.mark.filterwarnings("error")
def test_a_saturated_model_has_effects_and_no_intervals():
    model = fit_linear_model([np.array([0.0, 1.0])], np.array([70.0, 73.0]))
    assert model.effect.tolist() == pytest.approx([3.0])
    assert np.isnan([model.low, model.high, model.p]).all()


@pytest.mark.filterwarnings("error")
def test_an_exact_fit_has_intervals_without_width_and_no_p():
    model = fit_linear_model([ZEROS_AND_ONES], 70 + 3 * ZEROS_AND_ONES)
    assert model.low == model.effect == model.high == pytest.approx(3)
    assert isnan(model.p[0])
    assert model.squares == 0


@pytest.mark.filterwarnings("error")
def test_a_single_value_is_fitted_by_the_intercept():
    assert fit_linear_model([], np.array([70.0])).effect.size == 0


def test_the_share_of_groups_is_that_of_an_analysis_of_variance():
    mean_only = fit_linear_model([], TWO_GROUPS)
    share, p = fit_linear_model([ZEROS_AND_ONES], TWO_GROUPS).share_without(mean_only, mean_only.squares)
    within = np.var(TWO_GROUPS[:3]) * 3 + np.var(TWO_GROUPS[3:]) * 4
    assert share == pytest.approx(1 - within / (np.var(TWO_GROUPS) * 7))
    assert p == pytest.approx(stats.f_oneway(TWO_GROUPS[:3], TWO_GROUPS[3:]).pvalue)


def test_a_redundant_column_has_no_share():
    smaller = fit_linear_model([ZEROS_AND_ONES], TWO_GROUPS)
    larger = fit_linear_model([ZEROS_AND_ONES, ZEROS_AND_ONES], TWO_GROUPS)
    assert np.isnan(larger.share_without(smaller, 1.0)).all()


def test_a_trend_is_the_least_squares_line_with_its_t_interval():
    # Residuals -1, 2, -1 of the line 2 + 3x: variance 6 / 1, of the slope 6 / 2.
    found = fit_trend([-1, 0, 1], [-2.0, 4.0, 4.0])
    half = stats.t.isf(0.025, 1) * sqrt(3)
    assert vars(found) == pytest.approx(
        {"slope": 3, "low": 3 - half, "high": 3 + half, "p": 2 * stats.t.sf(sqrt(3), 1)}
    )


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1.0, 2.0]), ([1, 1, 1], [1.0, 2.0, 3.0])])
def test_no_line_through_too_few_points(x, y):
    assert all(isnan(value) for value in vars(fit_trend(x, y)).values())
