"""What the values say about the covariance: its hyperparameters, fitted by scikit-learn.

Two candidates share a term wholly, in part or not at all, 0 <= s <= 1 (see `posterior.Codes`). The covariance adds up
main effects and interactions,

    k(x, y) = main * mean_t s_t + product * exp(-sum_t w_t (1 - s_t)),

and the second counts the less, the more that weighs much the two do not share.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, WhiteKernel

from schedulers.posterior import Covariance, Floats

BOUNDS = (1e-4, 1e2)
STEPS = 25  # of the optimiser; later ones change no proposal

# Medians and standard deviations of the logarithms, where values have mean 0 and variance 1.
MAIN, PRODUCT, WEIGHT, NOISE = (0.3, 1.0), (0.7, 1.0), (0.6, 1.0), (0.05, 1.5)


def fit(rows: NDArray[np.float32], term: NDArray[np.int64], values: Floats) -> Covariance:
    """The covariance that is most probable, given (points, columns) and (points, views): views share one covariance."""
    typical, sds = np.array([MAIN, PRODUCT, *[WEIGHT] * (term.max() + 1), NOISE]).T
    medians = np.log(typical)

    def most_probable(objective: Any, theta: Floats, bounds: Any) -> tuple[Floats, float]:
        def penalised(theta: Floats) -> tuple[float, Floats]:
            loss, gradient = objective(theta)
            off = (theta - medians) / sds
            return loss + off @ off / 2, gradient + off / sds

        found = optimize.minimize(
            penalised, medians, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
        )
        return found.x, found.fun

    main, product, *weights, noise = typical
    kernel = LevelKernel(term, main, product, np.array(weights)) + WhiteKernel(noise, BOUNDS)
    regressor = GaussianProcessRegressor(kernel, optimizer=most_probable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound that is met: no noise, or an axis without effect
        return covariance(regressor.fit(rows.astype(float), values).kernel_)


def covariance(kernel: Any) -> Covariance:
    """The hyperparameters of a LevelKernel plus a WhiteKernel."""
    return Covariance(kernel.k1.main, kernel.k1.product, kernel.k1.weights, kernel.k2.noise_level)


class LevelKernel(Kernel):  # type: ignore[misc]
    """The covariance above, of rows of codes, as scikit-learn asks for it."""

    def __init__(self, term: NDArray[np.int64], main: float, product: float, weights: Floats) -> None:
        self.term, self.main, self.product, self.weights = term, main, product, weights

    @property
    def hyperparameter_main(self) -> Hyperparameter:
        return Hyperparameter("main", "numeric", BOUNDS)

    @property
    def hyperparameter_product(self) -> Hyperparameter:
        return Hyperparameter("product", "numeric", BOUNDS)

    @property
    def hyperparameter_weights(self) -> Hyperparameter:
        return Hyperparameter("weights", "numeric", BOUNDS, len(self.weights))

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:
        other = X if Y is None else Y
        main = self.main / len(self.weights) * (X @ other.T)
        product = self.product * np.exp((X * self.weights[self.term]) @ other.T - self.weights.sum())
        if not eval_gradient:
            return main + product
        columns = [self.term == t for t in range(len(self.weights))]
        parted = [w * (X[:, own] @ X[:, own].T - 1) for w, own in zip(self.weights, columns, strict=True)]
        return main + product, np.stack([main, product, *(part * product for part in parted)], axis=-1)

    def diag(self, X: Floats) -> Floats:
        return np.full(len(X), self.main + self.product)

    def is_stationary(self) -> bool:
        return False
