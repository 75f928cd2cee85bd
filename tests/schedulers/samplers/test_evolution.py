import numpy as np

from schedulers.encoded_space import Observation
from schedulers.samplers.evolution import Evolution
from tests.support.invented_spaces import full_space, mean_best_by_cost, run_sampler, stairs


def test_a_child_differs_from_the_winner_on_one_axis():
    space = full_space(6, 6, 6)
    values = [90.0 if index == 0 else 50.0 for index in range(0, 216, 54)]
    observations = [Observation(index=54 * place, value=value) for place, value in enumerate(values)]
    child = Evolution(population=4, tournament=4).propose(space, observations)
    assert (space.levels[child] != space.levels[0]).sum() == 1


def test_proposals_are_random_until_the_population_is_complete():
    space = full_space(6, 6, 6)
    observations = [Observation(index=index, value=50.0) for index in range(3)]
    proposed = {Evolution(seed, population=4).propose(space, observations) for seed in range(40)}
    assert len(proposed) > 20


def test_a_search_with_costs_walks_along_the_front():
    space, top1 = stairs()
    observations = run_sampler(Evolution(), space, top1, 80)
    assert np.isfinite(top1).all()
    assert mean_best_by_cost(space, observations) > 86.0
