from schedulers.encoded_space import Observation
from schedulers.samplers.simple import Grid, Random
from tests.support.invented_spaces import full_space

SPACE = full_space(2, 3)
SEEN = [Observation(index=0, value=50.0), Observation(index=2, value=60.0)]


def test_the_grid_proposes_in_the_order_of_the_space():
    assert Grid().propose(SPACE, SEEN) == 1


def test_random_proposals_reach_every_unseen_candidate():
    assert {Random(seed).propose(SPACE, SEEN) for seed in range(50)} == {1, 3, 4, 5}


def test_the_best_value_is_recommended():
    assert Grid().recommend(SPACE, SEEN) == Random().recommend(SPACE, SEEN) == 2
