import numpy as np
from sklearn.gaussian_process.kernels import WhiteKernel

from schedulers.samplers.gp_covariance import FeatureCovariance
from schedulers.samplers.gp_features import Features
from schedulers.samplers.gp_kernel import LevelKernel, fit, hyperparameters
from tests.support.invented_spaces import full_space


def kernel(space):
    """Features, and a kernel with hyperparameters that all differ."""
    features = Features.of(space)
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.5, 2, len(features.term))
    weights = rng.uniform(0.1, 1, features.term.max() + 1)
    return features, LevelKernel(features.term, factors, 0.9, weights) + WhiteKernel(0.05)


def test_the_gradient_of_the_covariance_is_that_of_finite_differences():
    features, whole = kernel(full_space(3, 4, 2, ordinal=True))
    rows = features.rows[::3].astype(float)
    _, gradient = whole(rows, eval_gradient=True)
    for place, step in enumerate(np.eye(len(whole.theta)) * 1e-5):
        above, below = (whole.clone_with_theta(whole.theta + sign * step)(rows) for sign in (1, -1))
        np.testing.assert_allclose(gradient[..., place], (above - below) / 2e-5, atol=1e-8)


def test_scikit_learn_and_the_posterior_have_the_same_covariance():
    features, whole = kernel(full_space(3, 4, ordinal=True))
    ours = FeatureCovariance(features, hyperparameters(whole)).rows(range(12))
    np.testing.assert_allclose(ours, whole.k1(features.rows.astype(float)), atol=1e-6)


def test_the_axis_that_matters_weighs_most():
    space = full_space(4, 4, 4)
    features = Features.of(space)
    values = np.random.default_rng(0).normal(size=(4, 4))[space.levels[:, 1], space.levels[:, 2]]
    weights = fit(features.rows, features.term, values[:, None]).weights.reshape(3, 4).mean(axis=1)
    assert min(weights[1:]) > 3 * weights[0]
