import numpy as np
import pytest

from schedulers.race_posterior import JointPosterior, RaceModel
from schedulers.race_prior import RaceCovariance
from schedulers.race_seeds import SeedMeans
from tests.support.invented_spaces import additive_top1, full_space

SPACE = full_space(3, 3, 3)


def seed_means(count=12, space=SPACE):
    rng = np.random.default_rng(0)
    top1 = additive_top1(space)
    return SeedMeans.of({index: list(top1[index] + rng.normal(0, 0.2, 1 + index % 3)) for index in range(count)})


def two_candidates(means, variance=0.01, sd=0.2):
    return JointPosterior(np.array([3, 8]), np.array(means), np.diag([variance, variance]), sd, 30.0)


def test_the_posterior_is_that_of_the_textbook():
    """K (K + N)^-1 y and K - K (K + N)^-1 K, solved at once."""
    seeds = seed_means()
    model = RaceModel(SPACE, seeds)
    posterior = model.posterior()
    prior = RaceCovariance(SPACE, np.arange(27), model.prior, seeds.sd).rows(range(27))
    ran = seeds.candidates
    gain = np.linalg.solve(prior[np.ix_(ran, ran)] + np.diag(seeds.sd**2 / seeds.counts), prior[ran]).T
    centre = seeds.means.mean()
    np.testing.assert_allclose(posterior.mean, centre + gain @ (seeds.means - centre), atol=1e-6)
    np.testing.assert_allclose(posterior.covariance, prior - gain @ prior[ran], atol=1e-6)


def test_running_trials_reduce_the_variances_and_leave_the_means():
    model = RaceModel(SPACE, seed_means())
    before, after = model.posterior(), model.posterior(running=[20, 20, 5])
    np.testing.assert_allclose(after.mean, before.mean, atol=1e-6)
    assert after.covariance[20, 20] < before.covariance[20, 20] / 2


def test_of_many_candidates_the_most_promising_are_kept():
    space = full_space(10, 10, 10)
    runs = {index: [float(space.levels[index].sum())] * 2 for index in range(0, 1000, 9)}
    model = RaceModel(space, SeedMeans.of(runs), max_candidates=50)
    posterior = model.posterior(running=[0])
    assert len(posterior.candidates) == len(posterior.mean) == 50
    assert 999 in posterior.candidates
    assert 0 not in posterior.candidates


def test_a_tie_leaves_doubt_and_a_clear_lead_leaves_none():
    assert two_candidates([90.0, 90.0]).doubts(0).tolist() == [0.0, 1.0]
    assert two_candidates([90.0, 80.0]).doubts(0)[1] < 1e-6


def test_who_is_above_the_leader_is_doubted_fully():
    assert two_candidates([90.0, 91.0]).doubts(0)[1] == 1.0


def test_the_doubt_is_the_bayes_factor_of_a_tie():
    """Variance of the difference .02, a difference of .3, prior variance of a difference (2 * .2)^2 = .16."""
    expected = np.sqrt(1 + 0.16 / 0.02) * (1 + 0.3**2 / 0.02 / 30) ** (-31 / 2)
    assert two_candidates([90.3, 90.0]).doubts(0)[1] == pytest.approx(expected)
