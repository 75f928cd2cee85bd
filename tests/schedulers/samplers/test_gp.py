import numpy as np

from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.gp import GP, standardised_scales
from schedulers.samplers.simple import Random
from tests.support.invented_spaces import (
    additive_top1,
    full_space,
    indices,
    mean_best_by_cost,
    run_sampler,
    run_with_failures,
    stairs,
)


def test_a_planted_optimum_is_found():
    space = full_space(5, 5, 5, 5)
    top1 = additive_top1(space)
    found, by_chance = (
        max(each.value for each in run_sampler(sampler, space, top1, 40)) for sampler in (GP(), Random())
    )
    assert found == top1.max() > by_chance


def test_noise_does_not_decide_what_is_recommended():
    space = full_space(5, 5, 5)
    top1 = additive_top1(space)
    noisy = top1 + np.random.default_rng(0).normal(0, 0.7, len(space))
    sampler = GP()
    observations = run_sampler(sampler, space, noisy, 60)
    lucky = max(observations, key=lambda each: each.value).index
    assert top1[sampler.recommend(space, observations)] >= top1[lucky]


def test_levels_at_which_training_diverges_are_left_alone():
    space = full_space(4, 4, 4)
    observations = run_with_failures(
        GP(), space, additive_top1(space), 30, lambda index, _: space.levels[index, 0] == 1
    )
    assert sum(each.status == "diverged" for each in observations[10:]) <= 3


def test_a_search_with_costs_walks_along_the_front():
    space, top1 = stairs()
    assert mean_best_by_cost(space, run_sampler(GP(), space, top1, 80)) > 89.0


def test_a_single_candidate_is_proposed():
    assert GP().propose(EncodedSpace(np.zeros((1, 0), dtype=np.int64), ()), []) == 0


def test_one_axis_is_enough():
    space = EncodedSpace(np.arange(12)[:, None], (False,))
    observations = []
    for number in range(12):
        index = GP().propose(space, observations)
        observations.append(Observation(index=index, value=50.0 + number))
    assert set(indices(observations)) == set(range(12))


def test_the_first_proposals_spread_over_all_levels():
    space = full_space(5, 5, 5)
    observations = run_sampler(GP(), space, additive_top1(space), 5)
    levels = space.levels[indices(observations)]
    assert all(len(set(axis)) == 5 for axis in levels.T)


def test_scales_are_standardised():
    scales = standardised_scales([(0, 50.0), (1, 70.0), (2, 90.0), (3, -np.inf)])
    np.testing.assert_allclose(scales.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scales.std(axis=0), 1)


def test_a_failure_does_not_set_the_scale():
    """Median 89, best 91: everything below 89 - 3 * 2 counts as 83."""
    values = [(0, 88.0), (1, 89.0), (2, 90.0), (3, 91.0)]
    failed, poor = (standardised_scales([*values, (4, low)])[:, 0] for low in (0.0, 83.0))
    np.testing.assert_allclose(failed, poor)
