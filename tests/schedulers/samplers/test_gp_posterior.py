import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from schedulers.samplers.gp import standardised_scales
from schedulers.samplers.gp_covariance import FeatureCovariance
from schedulers.samplers.gp_features import Features
from schedulers.samplers.gp_kernel import LevelKernel, hyperparameters
from schedulers.samplers.gp_posterior import ObservedMean, Posterior
from tests.support.invented_spaces import full_space


def kernel(space):
    """Features, and a kernel with hyperparameters that all differ."""
    features = Features.of(space)
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.5, 2, len(features.term))
    weights = rng.uniform(0.1, 1, features.term.max() + 1)
    return features, LevelKernel(features.term, factors, 0.9, weights) + WhiteKernel(0.05)


def test_the_growing_posterior_is_that_of_scikit_learn():
    space = full_space(3, 4, 2, 3, ordinal=True)
    features, whole = kernel(space)
    indices = np.random.default_rng(0).permutation(len(space))[:40].tolist()
    values = standardised_scales([(index, float(index % 7)) for index in indices])
    observed = [ObservedMean(index, seeds=1 + index % 3) for index in indices]
    posterior = Posterior(FeatureCovariance(features, hyperparameters(whole)), observed[:11])
    for mean in observed[11:]:
        posterior.append(mean)

    rows = features.rows.astype(float)
    noise = np.array([0.05 / mean.seeds for mean in observed])
    twin = GaussianProcessRegressor(whole.k1, optimizer=None, alpha=noise).fit(rows[indices], values)
    mean, sd = twin.predict(rows, return_std=True)
    np.testing.assert_allclose(posterior.mean(values, np.ones(40, bool)).T, mean, atol=1e-4)
    np.testing.assert_allclose(posterior.sd() ** 2, sd[:, 0] ** 2, atol=1e-4)


def test_room_grows_with_the_observations():
    features, whole = kernel(full_space(5, 5, 5))
    covariance = FeatureCovariance(features, hyperparameters(whole))
    observed = [ObservedMean(index, 1) for index in range(125)]
    grown = Posterior(covariance, observed[:2])
    for mean in observed[2:]:
        grown.append(mean)
    np.testing.assert_allclose(grown.sd(), Posterior(covariance, observed).sd(), atol=1e-3)


def test_a_running_trial_changes_what_is_uncertain_but_not_what_is_expected():
    features, whole = kernel(full_space(3, 4, 2))
    observed = [ObservedMean(index, 1) for index in (0, 5, 9)]
    posterior = Posterior(FeatureCovariance(features, hyperparameters(whole)), observed)
    values, known = np.array([[1.0], [-1.0], [0.0]]), np.array([True, True, True])
    mean, sd = posterior.mean(values, known), posterior.sd()
    posterior.append(ObservedMean(14, 1))
    np.testing.assert_allclose(posterior.mean(values, np.append(known, False)), mean, atol=1e-5)
    assert posterior.sd()[14] < sd[14] / 2
