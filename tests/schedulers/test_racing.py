"""Races among invented candidates: who gets seeds, who is dropped, and when a winner is declared."""

from itertools import product

import numpy as np

from schedulers.encoded_space import EncodedSpace
from schedulers.racing import Race

SPACE = EncodedSpace(np.array(list(product(range(3), repeat=3))), (False,) * 3)
SLOPE = 90 + SPACE.levels @ np.array([0.5, 0.3, 0.1])
SD = 0.2


def run_race(truth, seed=0, budget=80, confidence=0.95):
    """The state at the end, and the runs by candidate."""
    rng = np.random.default_rng(seed)
    race = Race(confidence)
    runs = {}
    for _ in range(budget):
        candidate = race.next_candidate(SPACE, runs, ())
        if candidate is None:
            break
        runs.setdefault(candidate, []).append(truth[candidate] + rng.normal(0, SD))
    return race.state(SPACE, runs), runs


def winner(candidate=26, lead=0.8):
    """A slope on which one candidate leads by so much."""
    truth = SLOPE.copy()
    truth[candidate] = truth.max() + lead
    return truth


def number_of_runs(runs):
    return sum(map(len, runs.values()))


def test_a_clear_winner_is_declared_before_the_budget_ends():
    state, runs = run_race(winner())
    assert (state.leader, state.decided) == (26, True)
    assert state.confidence >= 0.95
    assert number_of_runs(runs) < 60


def test_more_confidence_takes_more_runs():
    spent = [number_of_runs(run_race(winner(), confidence=confidence)[1]) for confidence in (0.8, 0.999)]
    assert spent[0] < spent[1]


def test_among_equals_no_winner_is_declared():
    states = [run_race(np.full(27, 90.0), seed, budget=60)[0] for seed in range(20)]
    assert sum(state.decided for state in states) <= 2


def test_a_loser_gets_no_more_seeds():
    state, runs = run_race(winner())
    assert len(runs.get(0, ())) <= 1
    assert 0 not in state.contenders


def test_where_the_levels_say_nothing_the_race_is_still_right():
    rng = np.random.default_rng(1)
    right = 0
    for seed in range(8):
        truth = rng.permutation(winner())
        state, _ = run_race(truth, seed)
        right += state.leader == np.argmax(truth)
    assert right >= 7


def test_a_restart_decides_the_same():
    _, runs = run_race(SLOPE, budget=30)
    backwards = dict(reversed(runs.items()))
    race = Race(0.95)
    assert race.next_candidate(SPACE, runs, (3, 3)) == race.next_candidate(SPACE, backwards, (3, 3))
    assert race.state(SPACE, runs) == race.state(SPACE, backwards)


def test_parallel_workers_spread_over_candidates():
    _, runs = run_race(SLOPE, budget=30)
    running = []
    for _ in range(8):
        running.append(Race(0.95).next_candidate(SPACE, runs, running))
    assert len(set(running)) >= 3


def test_the_first_workers_start_unlike_candidates():
    running = []
    for _ in range(3):
        running.append(Race(0.95).next_candidate(SPACE, {}, running))
    assert all(len(set(SPACE.levels[running, axis])) == 3 for axis in range(3))


def test_with_nothing_but_running_trials_there_is_a_next_one():
    assert Race(0.95).next_candidate(SPACE, {}, list(range(27))) in range(27)


def test_without_runs_there_is_no_leader():
    state = Race(0.95).state(SPACE, {})
    assert (state.leader, state.decided, len(state.contenders)) == (None, False, 27)


def test_of_ten_thousand_candidates_only_those_that_may_win_are_weighed():
    space = EncodedSpace(np.array(list(product(range(10), repeat=4))), (True,) * 4)
    runs = {c: [float(space.levels[c].sum())] * 2 for c in range(0, 10_000, 80)}
    state = Race(0.95).state(space, runs)
    assert len(state.contenders) <= 257  # counted, not timed: seconds depend on the machine
    assert space.levels[list(state.contenders)].sum(axis=1).min() > 18
