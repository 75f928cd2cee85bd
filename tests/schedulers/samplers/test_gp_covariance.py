import numpy as np

from schedulers.samplers.gp_covariance import FeatureCovariance, Hyperparameters
from schedulers.samplers.gp_features import Features
from tests.support.invented_spaces import full_space


def test_it_falls_with_the_weighted_distance():
    """One unordered axis: two levels differ in two columns by 1, so k = 2 exp(-(0.5 + 0.5) / 2)."""
    hyperparameters = Hyperparameters(variance=2.0, weights=np.full(3, 0.5), noise=0.1)
    covariance = FeatureCovariance(Features.of(full_space(3)), hyperparameters)
    expected = np.full((1, 3), 2 * np.exp(-0.5))
    expected[0, 1] = 2.0
    np.testing.assert_allclose(covariance.rows([1]), expected, rtol=1e-6)
