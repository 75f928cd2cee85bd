import numpy as np
import pytest

from schedulers.encoded_space import EncodedSpace
from schedulers.race_prior import LEVEL_VARIANCE, Prior, RaceCovariance, axis_distances, learn_prior
from schedulers.race_seeds import SeedMeans
from tests.support.invented_spaces import additive_top1, full_space


def test_unordered_levels_are_one_axis_apart_and_ordered_ones_a_share_of_the_range():
    space = EncodedSpace(np.array([[0, 0], [2, 0], [0, 1], [2, 4]]), (False, True))
    assert axis_distances(space, np.array([0]), np.arange(4)).tolist() == [[0.0, 1.0, 0.25, 2.0]]


def test_the_individual_part_is_shared_with_nobody():
    prior = Prior(axis_correlation=0.5, individual_share=0.2, variance=10.0)
    assert prior.covariance(np.array([0.0, 1.0, 2.0])).tolist() == pytest.approx([10.0, 4.0, 2.0])


def test_the_level_is_common_to_all():
    covariance = RaceCovariance(full_space(3), np.array([0, 2]), Prior(0.5, 0.0, 1.0), seed_sd=0.3)
    assert covariance.rows([0]).tolist() == [[1 + LEVEL_VARIANCE, 0.5 + LEVEL_VARIANCE]]
    assert covariance.variance == 1 + LEVEL_VARIANCE
    assert covariance.noise == pytest.approx(0.09)


def learned_from(space, top1):
    rng = np.random.default_rng(0)
    seeds = SeedMeans.of({index: list(value + rng.normal(0, 0.05, 2)) for index, value in enumerate(top1)})
    return learn_prior(axis_distances(space, seeds.candidates, seeds.candidates), seeds)


def test_an_additive_function_is_recognised():
    space = full_space(4, 4, 4)
    assert learned_from(space, additive_top1(space)).individual_share == 0.03


def test_unrelated_candidates_are_recognised():
    unrelated = np.random.default_rng(1).normal(90, 1, 64)
    assert learned_from(full_space(4, 4, 4), unrelated).individual_share >= 0.3
