"""Rungs with invented curves: trials are letters, rungs at 1 and 3, the budget 9."""

import pytest

from schedulers import RULE_NAMES
from schedulers.rungs import RULES, Asha, Median, Rungs, comparable_top1
from schedulers.search import TrialName

LEVELS = (1, 3, 9)


def trial(letter, seed=0):
    return TrialName(letter, seed)


def trials(letters):
    return [trial(letter) for letter in letters]


def named(**curves):
    """Curves by letter."""
    return {trial(letter): curve for letter, curve in curves.items()}


def flat(**values):
    """Curves of a single epoch, by letter."""
    return {trial(letter): (value,) for letter, value in values.items()}


def seeds_of(candidate, *values):
    """Curves of a single epoch, by seed."""
    return {trial(candidate, seed): (value,) for seed, value in enumerate(values)}


def test_the_names_for_the_command_line_are_those_of_the_rules():
    assert set(RULE_NAMES) == set(RULES)


def test_the_top_third_of_a_rung_is_promoted():
    curves = flat(a=50.0, b=70.0, c=60.0)
    assert Asha(LEVELS).promote(curves, trials("abc")) == trial("b")


def test_a_place_that_is_taken_is_not_given_again():
    curves = {**flat(a=50.0, c=60.0), trial("b"): (70.0, 71.0, 72.0)}
    assert Asha(LEVELS).promote(curves, trials("abc")) is None  # one place in three, and b has it


def test_nobody_is_promoted_among_fewer_trials_than_the_factor():
    assert Asha(LEVELS).promote(flat(a=50.0, b=70.0), trials("ab")) is None


def test_the_highest_rung_comes_first():
    curves = flat(d=90.0, e=1.0, f=2.0, g=3.0, h=4.0, i=5.0)
    curves |= named(a=(6.0, 6.0, 6.0), b=(7.0, 7.0, 7.0), c=(8.0, 8.0, 8.0))
    assert Asha(LEVELS).promote(curves, list(curves)) == trial("c")


def test_a_rung_compares_the_mean_since_the_rung_before():
    curves = named(steady=(10.0, 60.0, 60.0), lucky=(90.0, 10.0, 70.0), x=(1.0, 1.0, 1.0))
    assert Asha(LEVELS).promote(curves, list(curves)) == trial("steady")


def test_the_budget_compares_the_last_epoch():
    curves = named(a=(50.0,) * 8 + (60.0,), b=(55.0,) * 9)
    assert Rungs(LEVELS).scores_at(curves, 9) == {trial("a"): 60.0, trial("b"): 55.0}


@pytest.mark.parametrize(("challenge", "promoted"), [(73.0, None), (74.0, trial("new"))])
def test_the_last_holder_must_be_beaten_by_more_than_the_noise(challenge, promoted):
    seeds = seeds_of("same", 50.0, 52.0, 54.0, 56.0)  # their sd is 2.58 points, of a difference 3.65
    holders = named(h=(70.0, 70.0), i=(71.0, 70.0))  # both places of seven trials are taken
    curves = {**seeds, **holders, **flat(new=challenge)}
    assert Asha(LEVELS).promote(curves, [*seeds, trial("new")]) == promoted


def test_noise_is_measured_on_seeds_of_one_candidate():
    curves = {**seeds_of("a", 1.0, 3.0), **seeds_of("b", 10.0, 12.0, 14.0)}  # squares 2 and 8, 3 degrees of freedom
    assert Asha(LEVELS).noise(curves, 1) == pytest.approx((2 * 10 / 3) ** 0.5)


def test_straight_curves_have_no_noise():
    curves = {trial("x", seed=9): (1.0, 2.0, 3.0, 4.0)}
    curves |= {trial(letter): (1.0, 2.0 + k, 3.0 + 2 * k, 4.0 + 3 * k) for k, letter in enumerate("abc")}
    assert Asha(LEVELS).noise(curves, 3) == 0


def test_noise_without_repeated_seeds_is_the_jitter_of_curves():
    curves = {trial(letter): (0.0, 0.0, jump, 0.0) for letter, jump in zip("abcd", (-1.0, 1.0, -1.0, 1.0), strict=True)}
    # Second differences of 2 and -2: standard deviation 2.31; two epochs are averaged at this rung.
    assert Asha(LEVELS).noise(curves, 3) == pytest.approx(2.309 / (3 * 2) ** 0.5, abs=1e-3)


def test_too_few_curves_show_no_noise():
    assert Asha(LEVELS).noise(named(a=(1.0, 5.0, 9.0)), 3) == 0


def test_costs_make_the_pareto_front_what_is_promoted():
    scores = {trial("good"): 70.0, trial("dear"): 69.0, trial("cheap"): 50.0}
    costs = {"good": 5.0, "dear": 9.0, "cheap": 1.0}
    assert Asha(LEVELS, costs=costs).rank(scores) == [trial("good"), trial("cheap"), trial("dear")]


def test_of_equals_the_one_that_began_first_is_better():
    assert Rungs(LEVELS).rank({trial("b"): 1.0, trial("a"): 1.0}) == trials("ba")


def test_the_leader_is_resumed_only_if_it_is_paused():
    curves = flat(a=50.0, b=70.0)
    assert Asha(LEVELS).paused_leader(curves, trials("ab")) == trial("b")
    curves[trial("b")] = (70.0,) * 9
    assert Asha(LEVELS).paused_leader(curves, trials("a")) is None


def test_leftover_budget_goes_to_the_best_of_the_highest_rung():
    curves = named(a=(50.0,), b=(70.0,), c=(60.0, 60.0, 60.0), d=(40.0, 40.0, 40.0))
    assert Asha(LEVELS).best_paused(curves, list(curves)) == trial("c")
    assert Asha(LEVELS).best_paused(curves, trials("ab")) == trial("b")
    assert Asha(LEVELS).best_paused(curves, []) is None


def test_the_median_rule_promotes_what_is_not_below_it():
    curves = flat(a=50.0, b=70.0, c=60.0, d=40.0)
    assert Median(LEVELS).promote(curves, trials("d")) is None
    assert Median(LEVELS).promote(curves, trials("dc")) == trial("c")


def test_the_median_rule_promotes_where_there_is_no_median_yet():
    assert Median(LEVELS).promote(flat(a=1.0, b=2.0), trials("a")) == trial("a")


def test_without_a_rule_a_trial_runs_to_its_budget():
    assert Rungs(LEVELS).first_pause() == 9
    assert Asha(LEVELS).first_pause() == 1


def test_a_trial_pauses_next_at_the_rung_above_its_epochs():
    assert [Asha(LEVELS).next_pause(epochs) for epochs in (0, 1, 2, 3, 8)] == [1, 3, 3, 9, 9]


def test_trials_of_different_lengths_are_put_on_one_scale():
    curves = named(short=(40.0,), long=(50.0, 60.0, 60.0), none=())
    assert comparable_top1(Asha(LEVELS), curves) == {trial("short"): 50.0, trial("long"): 60.0}


@pytest.mark.parametrize(
    ("later", "expected"),
    [((90.0, 91.0, 92.0), 93.0), ((92.0, 91.0, 90.0), 91.0)],  # leads that shrink, and leads that meant nothing
)
def test_an_early_lead_counts_for_what_such_leads_came_to(later, expected):
    longer = {}
    for letter, early, late in zip("abc", (50.0, 60.0, 70.0), later, strict=True):
        longer[trial(letter)] = (early, late, late)
    assert comparable_top1(Asha(LEVELS), {**longer, **flat(short=80.0)})[trial("short")] == pytest.approx(expected)
