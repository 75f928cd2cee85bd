"""Forecasts of how a row ends against its baseline, from curves that can be worked out by hand."""

import pytest

from schedulers.forecast import Horizon, forecast

HORIZON = Horizon(epoch=11, start=2, budget=27)


def straight(level, slope=0.0, epochs=11):
    """A curve from 0 that reaches `level` at the middle of the last three epochs before the rung."""
    return (0.0, *(level + slope * (epoch - 10) for epoch in range(2, epochs + 1)))


def bent(level, epochs=11):
    """A curve from 0 that flattens out."""
    return tuple(level * (1 - 1 / epoch**2) for epoch in range(1, epochs + 1))


def forecast_of(row, baseline, **others):
    curves = {"row": [row], "baseline": [baseline], **others}
    return forecast(curves, "row", "baseline", HORIZON, margin=0.5)


def test_a_third_of_the_epochs_after_the_warm_up_is_averaged():
    assert HORIZON.third == 3
    curve = (0.0,) * 8 + (9.0, 9.0, 12.0)
    assert forecast_of(curve, tuple(value + 1 for value in curve)).difference == pytest.approx(-1)


def test_gains_to_come_count_steps_of_the_logarithm_of_epochs():
    # From 7.5 epochs after the warm-up, the middle of the last third, to 25; a step is from 4.5 to 7.5.
    assert Horizon(epoch=11, start=2, budget=27).steps == pytest.approx(2.357, abs=1e-3)


def test_equal_gains_leave_the_difference_as_it_is():
    assert forecast_of(straight(50, 1.0), straight(60, 1.0)).difference == pytest.approx(-10)


def test_a_row_that_gains_faster_is_credited_with_half_of_its_lead():
    seen = forecast_of(straight(50, 2.0), straight(60, 1.0))  # over three epochs it gains 3 points more
    assert seen.difference == pytest.approx(-10 + 0.5 * 3 * HORIZON.steps)


def test_a_row_that_gains_more_slowly_is_not_forecast_to_fall_further_behind():
    assert forecast_of(straight(50, 1.0), straight(60, 2.0)).difference == pytest.approx(-10)


def test_a_flat_row_far_below_is_almost_certain_to_lose_and_one_just_below_is_not():
    assert forecast_of(bent(50), bent(90)).p_worse > 0.99
    assert forecast_of(bent(89.9), bent(90)).p_worse < 0.5


def test_a_tie_at_the_margin_is_even():
    flat = (0.0, *(90.0,) * 10)
    assert forecast_of(tuple(top1 - 0.5 for top1 in flat), flat).p_worse == pytest.approx(0.5)


def test_the_more_is_still_to_come_the_less_is_certain():
    late = forecast_of(straight(50, 0.1), straight(60, 0.1))
    early = forecast_of(straight(50, 1.0), straight(60, 1.0))
    assert early.high - early.low > late.high - late.low


def test_curves_that_rise_alike_make_a_forecast_more_certain_and_curves_that_cross_less():
    row = straight(50, 1.0)
    baseline = straight(60, 1.0)
    alone = forecast_of(row, baseline)
    alike = forecast_of(row, baseline, **{str(n): [straight(50 + n, 1.0)] for n in range(5)})
    crossing = forecast_of(row, baseline, **{str(n): [straight(50 + n, 3.0)] for n in range(5)})
    assert alike.high < alone.high
    assert crossing.high - crossing.difference > alike.high - alike.difference


def test_curves_that_have_ended_count_as_they_went_on():
    baseline = straight(60, 1.0, epochs=27)
    ended = straight(50, 1.0)
    row = straight(50, 1.0)
    parallel = forecast_of(row, baseline, ended=[(*ended, *(ended[-1] + n for n in range(1, 17)))])
    overtaking = forecast_of(row, baseline, ended=[(*ended, *(ended[-1] + 3 * n for n in range(1, 17)))])
    assert overtaking.low < parallel.low


def test_more_seeds_narrow_the_interval():
    jumping = tuple(90 + (epoch % 2) - 80 / epoch**2 for epoch in range(1, 12))
    one = forecast({"row": [jumping], "baseline": [jumping]}, "row", "baseline", HORIZON, 0.5)
    three = forecast({"row": [jumping] * 3, "baseline": [jumping] * 3}, "row", "baseline", HORIZON, 0.5)
    assert (one.seeds, three.baseline_seeds) == (1, 3)
    assert three.high < one.high


def test_a_row_on_a_plateau_is_not_judged_in_the_first_half():
    baseline = bent(90, epochs=27)
    curves = {"row": [(10.0,) * 27], "baseline": [baseline]}
    assert forecast(curves, "row", "baseline", HORIZON, 0.5) is None
    late = Horizon(epoch=15, start=2, budget=27)
    assert forecast(curves, "row", "baseline", late, 0.5).p_worse > 0.99


def test_no_epoch_after_the_rung_of_a_trial_that_goes_on_is_used():
    assert forecast_of(bent(50, 20), bent(90, 20)) == forecast_of(bent(50), bent(90))
