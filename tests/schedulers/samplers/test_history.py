import numpy as np
import pytest

from schedulers.encoded_space import Observation
from schedulers.samplers.history import best_observed, ended_values, nearest_unseen, proposal_rng, unseen_mask
from tests.support.invented_spaces import full_space

OBSERVATIONS = [
    Observation(index=1, value=50.0),
    Observation(index=2, status="running"),
    Observation(index=3, status="diverged"),
]


def test_what_was_proposed_is_seen_whatever_became_of_it():
    assert np.flatnonzero(~unseen_mask(full_space(6), OBSERVATIONS)).tolist() == [1, 2, 3]


def test_a_diverged_trial_is_below_all_others_and_a_running_one_has_no_value():
    assert ended_values(OBSERVATIONS) == [(1, 50.0), (3, -np.inf)]


def test_of_equals_the_first_is_best():
    assert best_observed([*OBSERVATIONS, Observation(index=5, value=50.0)]) == 1


def test_there_is_no_best_before_the_first_value():
    with pytest.raises(ValueError, match="none of 2 trials"):
        best_observed(OBSERVATIONS[1:])


def test_the_nearest_unseen_candidate_differs_on_the_fewest_axes():
    space = full_space(3, 3)
    unseen = np.ones(9, dtype=bool)
    unseen[0] = False
    found = {nearest_unseen(space, space.levels[0], unseen, np.random.default_rng(seed)) for seed in range(30)}
    assert found == {1, 2, 3, 6}


def test_the_same_number_of_observations_gives_the_same_random_numbers():
    assert proposal_rng(3, OBSERVATIONS).random() == proposal_rng(3, OBSERVATIONS).random()
    assert proposal_rng(3, OBSERVATIONS).random() != proposal_rng(3, OBSERVATIONS[:1]).random()
