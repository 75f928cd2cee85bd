"""Rungs with invented curves: trials are letters, rungs at 1 and 3, the budget 9."""

import pytest

from schedulers import RULE_NAMES
from schedulers.rungs import RULES, Asha, Median, Pasha, Rungs, comparable

LEVELS = (1, 3, 9)


def flat(**values):
    """Curves that stay at one value for one epoch."""
    return {key: (value,) for key, value in values.items()}


def test_the_names_for_the_command_line_are_those_of_the_rules():
    assert set(RULE_NAMES) == set(RULES)


def test_the_top_third_of_a_rung_is_promoted_the_best_first():
    curves = flat(a=50.0, b=70.0, c=60.0)
    assert Asha(LEVELS).promoted(curves, ["a", "b", "c"]) == "b"
    curves["b"] = (70.0, 71.0, 72.0)
    assert Asha(LEVELS).promoted(curves, ["a", "b", "c"]) is None  # one place in three, and b has it


def test_nobody_is_promoted_among_fewer_than_a_factor_of_trials():
    assert Asha(LEVELS).promoted(flat(a=50.0, b=70.0), ["a", "b"]) is None


def test_the_highest_rung_comes_first():
    curves = flat(d=90.0, e=1.0, f=2.0, g=3.0, h=4.0, i=5.0) | {
        k: (v, v, v) for k, v in zip("abc", (6, 7, 8), strict=True)
    }
    assert Asha(LEVELS).promoted(curves, list(curves)) == "c"


def test_a_rung_compares_the_mean_since_the_rung_before():
    curves = {"steady": (10.0, 60.0, 60.0), "lucky": (90.0, 10.0, 70.0), "x": (1.0, 1.0, 1.0)}
    assert Asha(LEVELS).promoted(curves, list(curves)) == "steady"


def test_the_budget_compares_the_last_epoch():
    curves = {"a": (50.0,) * 8 + (60.0,), "b": (55.0,) * 9}
    assert Rungs(LEVELS).reached(curves, 9) == {"a": 60.0, "b": 55.0}


def test_a_place_that_is_taken_changes_hands_only_for_more_than_the_noise():
    seeds = {"s0": (50.0,), "s1": (52.0,), "s2": (54.0,), "s3": (56.0,)}
    arms = dict.fromkeys(seeds, "same")  # their sd is 2.58 points, of a difference 3.65
    held = {"h": (70.0, 70.0), "i": (71.0, 70.0)}  # both places of six or seven trials are taken
    paused = [*seeds, "new"]
    assert Asha(LEVELS, arms=arms).promoted({**seeds, **held, "new": (73.0,)}, paused) is None
    assert Asha(LEVELS, arms=arms).promoted({**seeds, **held, "new": (74.0,)}, paused) == "new"


def test_noise_is_measured_on_seeds_of_one_candidate():
    rungs = Asha(LEVELS, arms={"a0": "a", "a1": "a", "b0": "b", "b1": "b", "b2": "b"})
    curves = flat(a0=1.0, a1=3.0, b0=10.0, b1=12.0, b2=14.0)  # squares 2 and 8 on 3 degrees of freedom
    assert rungs.noise(curves, 1) == pytest.approx((2 * 10 / 3) ** 0.5)


def test_noise_without_repeated_seeds_is_the_jitter_of_curves():
    straight = {key: (1.0, 2.0 + key, 3.0 + 2 * key, 4.0 + 3 * key) for key in range(4)}
    assert Asha(LEVELS).noise(straight, 3) == 0
    jumpy = {key: (0.0, 0.0, jump, 0.0) for key, jump in enumerate((-1.0, 1.0, -1.0, 1.0))}
    # Second differences of 2 and -2: standard deviation 2.31; two epochs are averaged at this rung.
    assert Asha(LEVELS).noise(jumpy, 3) == pytest.approx(2.309 / (3 * 2) ** 0.5, abs=1e-3)
    assert Asha(LEVELS).noise({0: (1.0, 5.0, 9.0)}, 3) == 0


def test_costs_make_the_front_what_is_promoted():
    curves, costs = flat(good=70.0, dear=69.0, cheap=50.0), {"good": 5.0, "dear": 9.0, "cheap": 1.0}
    six = {**curves, **flat(x=10.0, y=11.0, z=12.0)}
    ranked = Asha(LEVELS, costs={**costs, "x": 9.0, "y": 9.0, "z": 9.0}).ranked(Asha(LEVELS).reached(six, 1))
    assert ranked[:3] == ["good", "cheap", "dear"]


def test_the_leader_goes_on_when_nothing_else_is_left():
    curves = flat(a=50.0, b=70.0)
    assert Asha(LEVELS).last(curves, ["a", "b"]) == "b"
    assert Asha(LEVELS).last({**curves, "b": (70.0,) * 9}, ["a"]) is None


def test_what_a_budget_has_left_goes_to_the_best_of_the_highest_rung():
    curves = {"a": (50.0,), "b": (70.0,), "c": (60.0, 60.0, 60.0), "d": (40.0, 40.0, 40.0)}
    assert Asha(LEVELS).further(curves, list(curves)) == "c"
    assert Asha(LEVELS).further(curves, ["a", "b"]) == "b"
    assert Asha(LEVELS).further(curves, []) is None


def test_pasha_opens_a_rung_only_where_the_ranking_changes():
    first = flat(**{name: float(value) for value, name in enumerate("abcdefghi")})
    same = {**first, "g": (6.0,) * 3, "h": (7.0,) * 3, "i": (8.0,) * 3}
    swapped = {**same, "g": (6.0, 20.0, 20.0)}
    assert Asha(LEVELS).promoted(same, list(same)) == "i"
    assert Pasha(LEVELS).promoted(same, list(same)) is None
    assert Pasha(LEVELS).promoted(swapped, list(swapped)) == "g"


def test_the_median_rule_promotes_what_is_not_below_it():
    curves = flat(a=50.0, b=70.0, c=60.0, d=40.0)
    rule = Median(LEVELS)
    assert rule.promoted(curves, ["d"]) is None
    assert rule.promoted(curves, ["d", "c"]) == "c"
    assert rule.promoted(flat(a=1.0, b=2.0), ["a"]) == "a"  # too few others to say anything


def test_without_a_rule_a_trial_runs_to_its_budget():
    assert (Rungs(LEVELS).first(), Asha(LEVELS).first()) == (9, 1)
    assert [Asha(LEVELS).following(epochs) for epochs in (0, 1, 2, 3, 8)] == [1, 3, 3, 9, 9]


def test_trials_of_different_lengths_are_put_on_one_scale():
    curves = {"short": (40.0,), "long": (50.0, 60.0, 60.0), "none": ()}
    assert comparable(Asha(LEVELS), curves) == {"short": 50.0, "long": 60.0}


def test_a_lead_at_an_early_rung_counts_for_what_such_leads_came_to():
    longer = {key: (low, high, high) for key, low, high in (("a", 50.0, 90.0), ("b", 60.0, 91.0), ("c", 70.0, 92.0))}
    assert comparable(Asha(LEVELS), {**longer, "short": (80.0,)})["short"] == pytest.approx(93.0)
    falling = {key: (low, high, high) for key, low, high in (("a", 50.0, 92.0), ("b", 60.0, 91.0), ("c", 70.0, 90.0))}
    assert comparable(Asha(LEVELS), {**falling, "short": (80.0,)})["short"] == pytest.approx(91.0)
