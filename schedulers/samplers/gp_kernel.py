"""Fitting the hyperparameters of the Gaussian process with scikit-learn.

    k(x, y) = variance * exp(-sum_c w_c (x_c - y_c)^2 / 2)

is the covariance between the features of two candidates (see gp_features). The weight of a column is that of its term
(an axis, or the order of an ordinal axis) times a factor of its own. So some levels of an axis can be far apart
(with and without attention) and others close (two convolutions). Log-normal priors hold weights, factors, variance and
noise near typical values until there are enough data.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, WhiteKernel

from schedulers.encoded_space import Floats, Ints
from schedulers.samplers.gp_covariance import Hyperparameters

BOUNDS = (1e-4, 1e2)


@dataclass(frozen=True)
class LogNormal:
    """A prior: the median, and the standard deviation of the logarithm."""

    median: float
    sd: float


# Where the values have mean 0 and variance 1.
FACTOR = LogNormal(1.0, 0.7)
VARIANCE = LogNormal(1.0, 0.5)
WEIGHT = LogNormal(0.6, 1.0)
NOISE = LogNormal(0.05, 1.5)


def fit(rows: NDArray[np.float32], term: Ints, values: Floats, max_rows: int = 100) -> Hyperparameters:
    """The most probable hyperparameters, given (observations, columns) and (observations, scales).

    All scales share them. Of more than `max_rows` observations it takes a selection, because the time grows with their
    square.
    """
    selected = np.unique(np.linspace(0, len(rows) - 1, max_rows).astype(int))
    terms = int(term.max()) + 1
    priors = [FACTOR] * len(term) + [VARIANCE] + [WEIGHT] * terms + [NOISE]
    factors = np.full(len(term), FACTOR.median)
    weights = np.full(terms, WEIGHT.median)
    start = LevelKernel(term, factors, VARIANCE.median, weights)
    noise = WhiteKernel(NOISE.median, BOUNDS)
    regressor = GaussianProcessRegressor(start + noise, optimizer=MaximumPosterior(priors))
    with warnings.catch_warnings():
        # A bound that is reached is no problem: there is no noise, or an axis without effect.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(rows[selected].astype(float), values[selected])
    return hyperparameters(regressor.kernel_)


class MaximumPosterior:
    """An optimizer for scikit-learn that adds the log density of the priors to the likelihood."""

    def __init__(self, priors: list[LogNormal]) -> None:
        self.medians = np.array([prior.median for prior in priors])
        self.sds = np.array([prior.sd for prior in priors])

    def __call__(self, objective: Any, theta: Floats, bounds: Any) -> tuple[Floats, float]:
        def penalised(theta: Floats) -> tuple[float, Floats]:
            loss, gradient = objective(theta)
            deviations = (theta - np.log(self.medians)) / self.sds
            penalty = deviations @ deviations / 2
            return loss + penalty, gradient + deviations / self.sds

        options = {"maxiter": 25}  # further iterations change no proposal
        result = optimize.minimize(penalised, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return result.x, result.fun


def hyperparameters(kernel: Any) -> Hyperparameters:
    """Those of a LevelKernel plus a WhiteKernel."""
    levels, noise = kernel.k1, kernel.k2
    return Hyperparameters(levels.variance, levels.column_weights(), noise.noise_level)


class LevelKernel(Kernel):  # type: ignore[misc]
    """The covariance k as a kernel of scikit-learn, which orders hyperparameters by name."""

    def __init__(self, term: Ints, factors: Floats, variance: float, weights: Floats) -> None:
        self.term = term
        self.factors = factors
        self.variance = variance
        self.weights = weights

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
        """(columns,): the weight of each column, that is its factor times its term's weight."""
        # scikit-learn returns an array of length one as a number.
        factors = np.atleast_1d(self.factors)
        weights = np.atleast_1d(self.weights)
        return factors * weights[self.term]

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:
        weights = self.column_weights()
        scaled = X * np.sqrt(weights)
        other = scaled if Y is None else Y * np.sqrt(weights)
        covariance = self.variance * np.exp(-cdist(scaled, other, "sqeuclidean") / 2)
        if eval_gradient:
            return covariance, self._gradient(scaled, covariance)
        return covariance

    def _gradient(self, scaled: Floats, covariance: Floats) -> Floats:
        """(rows, rows, hyperparameters): the derivative by the logarithm of each hyperparameter."""
        columns = scaled.shape[1]
        terms = np.size(self.weights)
        # In place wherever possible: a fit spends most of its time here.
        by_column = scaled[:, None] - scaled
        by_column *= by_column
        by_column *= -covariance[..., None] / 2
        column_in_term = self.term[:, None] == np.arange(terms)
        gradient = np.empty((*covariance.shape, columns + 1 + terms))
        gradient[..., :columns] = by_column
        gradient[..., columns] = covariance
        gradient[..., columns + 1 :] = by_column @ column_in_term.astype(float)
        return gradient

    def diag(self, X: Floats) -> Floats:
        return np.full(len(X), self.variance)

    def is_stationary(self) -> bool:
        return True
