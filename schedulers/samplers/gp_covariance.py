"""The covariance between candidates that the Gaussian process of the sampler assumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedulers.encoded_space import Floats
from schedulers.samplers.gp_features import Features


@dataclass(frozen=True)
class Hyperparameters:
    """Of k(x, y) = variance * exp(-sum_c weights_c (x_c - y_c)^2 / 2) between the features of two candidates."""

    variance: float
    weights: Floats  # (columns,)
    noise: float  # variance of the noise of one seed


class FeatureCovariance:
    """The covariance k between all candidates.

    Single precision: the time goes into reading the rows, and the rounding error is far below the noise.
    """

    def __init__(self, features: Features, hyperparameters: Hyperparameters) -> None:
        self.variance = hyperparameters.variance
        self.noise = hyperparameters.noise
        self._scaled = features.rows * np.sqrt(hyperparameters.weights).astype(np.float32)
        self._half_squares = (self._scaled**2).sum(axis=1) / 2

    def rows(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """(indices, candidates): the covariance of some candidates with all."""
        selected = list(indices)
        exponents = self._scaled[selected] @ self._scaled.T
        exponents -= self._half_squares[selected, None]
        exponents -= self._half_squares
        return np.float32(self.variance) * np.exp(exponents, out=exponents)
