"""Races among invented candidates: who gets seeds, who is dropped, and when a winner is declared."""

from itertools import product

import numpy as np
import pytest

from schedulers.encoded_space import EncodedSpace
from schedulers.racing import Race, Seeds

POINTS = EncodedSpace(np.array(list(product(range(3), repeat=3))), (False,) * 3)
SLOPE = 90 + POINTS.levels @ np.array([0.5, 0.3, 0.1])
SD = 0.2


def raced(truth, seed=0, budget=80, race=None, sd=SD):
    rng, runs = np.random.default_rng(seed), {}
    race = race or Race(0.95)
    for _ in range(budget):
        candidate = race.next_candidate(POINTS, runs, ())
        if candidate is None:
            break
        runs.setdefault(candidate, []).append(truth[candidate] + rng.normal(0, sd))
    return race.state(POINTS, runs), runs


def winner(candidate=26, lead=0.8):
    truth = SLOPE.copy()
    truth[candidate] = truth.max() + lead
    return truth


def test_a_clear_winner_is_declared_before_the_budget_ends():
    standing, runs = raced(winner())
    assert (standing.leader, standing.decided) == (26, True)
    assert standing.confidence >= 0.95
    assert sum(map(len, runs.values())) < 60


def test_a_wish_for_more_confidence_takes_more_runs():
    spent = [sum(map(len, raced(winner(), race=Race(c))[1].values())) for c in (0.8, 0.999)]
    assert spent[0] < spent[1]


def test_among_equals_no_winner_is_declared():
    assert sum(raced(np.full(27, 90.0), seed, 60)[0].decided for seed in range(20)) <= 2


def test_a_loser_gets_no_more_seeds():
    standing, runs = raced(winner())
    assert len(runs.get(0, ())) <= 1
    assert 0 not in standing.contenders


def test_where_the_levels_say_nothing_the_race_is_still_right():
    shuffle = np.random.default_rng(1).permutation
    standings = [(truth := shuffle(winner()), raced(truth, seed)[0]) for seed in range(8)]
    assert sum(standing.leader == np.argmax(truth) for truth, standing in standings) >= 7


def test_a_restart_decides_the_same():
    _, runs = raced(SLOPE, budget=30)
    backwards = dict(reversed(runs.items()))
    assert Race(0.95).next_candidate(POINTS, runs, (3, 3)) == Race(0.95).next_candidate(POINTS, backwards, (3, 3))
    assert Race(0.95).state(POINTS, runs) == Race(0.95).state(POINTS, backwards)


def test_workers_in_parallel_spread_over_candidates():
    _, runs = raced(SLOPE, budget=30)
    running = []
    for _ in range(8):
        running.append(Race(0.95).next_candidate(POINTS, runs, running))
    assert len(set(running)) >= 3


def test_the_first_workers_start_unlike_candidates():
    running = []
    for _ in range(3):
        running.append(Race(0.95).next_candidate(POINTS, {}, running))
    assert all(len(set(POINTS.levels[running, axis])) == 3 for axis in range(3))


def test_with_nothing_but_running_trials_there_is_a_next_one():
    assert Race(0.95).next_candidate(POINTS, {}, list(range(27))) in range(27)


def test_what_never_trains_does_not_widen_the_sd():
    rng = np.random.default_rng(0)
    runs = {c: list(rng.normal(SLOPE[c], SD, 3)) for c in range(10)}
    seeds = Seeds.of(runs | {10: [10.0, 10.0], 11: [10.0, 90.0]})
    assert seeds.sd == pytest.approx(SD, rel=0.5)
    assert seeds.means.min() > 80


def test_nothing_seen_is_no_leader():
    standing = Race(0.95).state(POINTS, {})
    assert (standing.leader, standing.decided, len(standing.contenders)) == (None, False, 27)


def test_of_ten_thousand_candidates_only_those_that_may_win_are_weighed():
    points = EncodedSpace(np.array(list(product(range(10), repeat=4))), (True,) * 4)
    runs = {c: [float(points.levels[c].sum())] * 2 for c in range(0, 10_000, 80)}
    standing = Race(0.95).state(points, runs)
    assert len(standing.contenders) <= 257  # counted, not timed: seconds depend on the machine
    assert points.levels[list(standing.contenders)].sum(axis=1).min() > 18
