"""What the values say about the covariance: its hyperparameters, fitted by scikit-learn.

    k(x, y) = variance * exp(-sum_c w_c (x_c - y_c)^2 / 2)

over the codes of two candidates (see `posterior.Codes`), so two levels of one axis are the farther apart, the more both
of them weigh: with and without attention may be worlds apart where two convolutions are nearly the same. A column
weighs what its axis does times a factor of its own. Priors hold both near what is typical until values speak.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, WhiteKernel

from schedulers.samplers.gp_posterior import Covariance, Floats

BOUNDS = (1e-4, 1e2)
STEPS = 25  # of the optimiser; later ones change no proposal
MOST = 100  # values that one fit takes: its time grows with their square

# Medians and standard deviations of the logarithms, where values have mean 0 and variance 1.
FACTOR, VARIANCE, WEIGHT, NOISE = (1.0, 0.7), (1.0, 0.5), (0.6, 1.0), (0.05, 1.5)


def fit(rows: NDArray[np.float32], term: NDArray[np.int64], values: Floats) -> Covariance:
    """The most probable covariance, given (points, columns) and (points, views); all views have the same one."""
    some = np.unique(np.linspace(0, len(rows) - 1, MOST).astype(int))
    terms = int(term.max()) + 1
    typical, spread = np.array([*[FACTOR] * len(term), VARIANCE, *[WEIGHT] * terms, NOISE]).T

    def most_probable(objective: Any, theta: Floats, bounds: Any) -> tuple[Floats, float]:
        def penalised(theta: Floats) -> tuple[float, Floats]:
            loss, gradient = objective(theta)
            off = (theta - np.log(typical)) / spread
            return loss + off @ off / 2, gradient + off / spread

        limits = {"maxiter": STEPS}
        found = optimize.minimize(penalised, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=limits)
        return found.x, found.fun

    start = LevelKernel(term, np.full(len(term), FACTOR[0]), VARIANCE[0], np.full(terms, WEIGHT[0]))
    regressor = GaussianProcessRegressor(start + WhiteKernel(NOISE[0], BOUNDS), optimizer=most_probable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound that is met: no noise, or an axis without effect
        return covariance(regressor.fit(rows[some].astype(float), values[some]).kernel_)


def covariance(kernel: Any) -> Covariance:
    """The hyperparameters of a LevelKernel plus a WhiteKernel."""
    levels, noise = kernel.k1, kernel.k2.noise_level
    return Covariance(levels.variance, levels.column_weights(), noise)


class LevelKernel(Kernel):  # type: ignore[misc]
    """The covariance above, as scikit-learn asks for it; hyperparameters in the order of their names."""

    def __init__(self, term: NDArray[np.int64], factors: Floats, variance: float, weights: Floats) -> None:
        self.term, self.factors, self.variance, self.weights = term, factors, variance, weights

    @property
    def hyperparameter_factors(self) -> Hyperparameter:
        return Hyperparameter("factors", "numeric", BOUNDS, np.size(self.factors))

    @property
    def hyperparameter_variance(self) -> Hyperparameter:
        return Hyperparameter("variance", "numeric", BOUNDS)

    @property
    def hyperparameter_weights(self) -> Hyperparameter:
        return Hyperparameter("weights", "numeric", BOUNDS, np.size(self.weights))

    def column_weights(self) -> Floats:
        # scikit-learn hands a single one back as a number.
        return np.atleast_1d(self.factors) * np.atleast_1d(self.weights)[self.term]

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:
        weights = self.column_weights()
        scaled, other = (codes * np.sqrt(weights) for codes in (X, X if Y is None else Y))
        alike = self.variance * np.exp(-cdist(scaled, other, "sqeuclidean") / 2)
        if not eval_gradient:
            return alike
        # In place wherever possible: this is where the time of a fit goes.
        columns, terms = len(weights), np.size(self.weights)
        gradient = np.empty((*alike.shape, columns + 1 + terms))
        by_column = scaled[:, None] - scaled
        by_column *= by_column
        by_column *= -alike[..., None] / 2
        gradient[..., :columns], gradient[..., columns] = by_column, alike
        gradient[..., columns + 1 :] = by_column @ (self.term[:, None] == np.arange(terms)).astype(float)
        return alike, gradient

    def diag(self, X: Floats) -> Floats:
        return np.full(len(X), self.variance)

    def is_stationary(self) -> bool:
        return True
