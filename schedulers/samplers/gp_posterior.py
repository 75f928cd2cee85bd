"""A Gaussian process conditioned on a growing number of observations, with predictions for all candidates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from schedulers.encoded_space import Bools, Floats, Ints

Rows = NDArray[Any]  # single or double precision, as the covariance has it


@dataclass(frozen=True)
class ObservedMean:
    """An observed value is the mean over so many seeds of one candidate."""

    index: int
    seeds: int


class Covariance(Protocol):
    """The prior of a Gaussian process over all candidates; its mean is 0."""

    @property
    def variance(self) -> float:
        """Of every candidate."""
        ...

    @property
    def noise(self) -> float:
        """Variance of the noise of one seed."""
        ...

    def rows(self, indices: Sequence[int]) -> Rows:
        """(indices, candidates): covariance without noise. Its precision is that of the predictions."""
        ...


class Posterior:
    """A Gaussian process after some observations, to which more can be appended.

    With L the Cholesky factor of the observations' covariance including noise, and K their covariance with all
    candidates, it keeps W = L^-1 K, one row for each observation. Then prior covariance - W^T W is the posterior
    covariance, and (L^-1 values)^T W the posterior mean.
    """

    def __init__(self, covariance: Covariance, observed: Sequence[ObservedMean]) -> None:
        self.covariance = covariance
        self.observed = list(observed)
        indices = [mean.index for mean in self.observed]
        rows = covariance.rows(indices)
        count, candidates = rows.shape
        noise = np.diag(self._noise())
        factor = linalg.cholesky(rows[:, indices].astype(float) + noise, lower=True)
        self._factor_buffer = np.zeros((count, count))
        self._whitened_buffer = np.empty((count, candidates), rows.dtype)
        self._reserve_rows()
        self._factor_buffer[:count, :count] = factor
        factor = factor.astype(rows.dtype)
        self._whitened_buffer[:count] = linalg.solve_triangular(factor, rows, lower=True)
        self._explained = np.einsum("ij,ij->j", self._whitened, self._whitened).astype(float)

    def append(self, mean: ObservedMean) -> None:
        """Condition on one more observation."""
        count = len(self.observed)
        if count == len(self._factor_buffer):
            self._reserve_rows()
        precision = self._whitened.dtype
        known = self._whitened[:, mean.index].astype(float)
        noise = self.covariance.noise / mean.seeds
        unexplained = self.covariance.variance + noise - known @ known
        diagonal = np.sqrt(max(unexplained, 1e-8))
        explained = known.astype(precision) @ self._whitened
        row = self.covariance.rows([mean.index])[0] - explained
        self._factor_buffer[count, :count] = known
        self._factor_buffer[count, count] = diagonal
        self._whitened_buffer[count] = row / precision.type(diagonal)
        self._explained += self._whitened_buffer[count] ** 2
        self.observed.append(mean)

    def mean(self, values: Floats, known: Bools) -> Rows:
        """(scales, candidates): posterior means, given (known observations, scales).

        Observations that are not known yet, of running trials, are imputed with their predicted mean. So they change no
        mean, but lower the standard deviation, and parallel proposals differ.
        """
        imputed = values if known.all() else self._impute(values, known)
        whitened_values = linalg.solve_triangular(self._factor, imputed, lower=True)
        means: Rows = whitened_values.T.astype(self._whitened.dtype) @ self._whitened
        return means

    def _impute(self, values: Floats, known: Bools) -> Floats:
        """(observations, scales): the known values, and the means that they predict for the others."""
        noise = np.diag(self._noise())
        covariance = self._factor @ self._factor.T - noise
        noisy = (covariance + noise)[np.ix_(known, known)]
        imputed: Floats = covariance[:, known] @ linalg.solve(noisy, values, assume_a="pos")
        imputed[known] = values
        return imputed

    def sd(self) -> Floats:
        """(candidates,): posterior standard deviations, without the noise of a seed."""
        return np.sqrt(np.maximum(self.covariance.variance - self._explained, 1e-9))

    def joint_covariance(self, indices: Ints) -> Rows:
        """(indices, indices): posterior covariance, without the noise of a seed."""
        prior = self.covariance.rows(indices.tolist())[:, indices]
        whitened = self._whitened[:, indices]
        covariance: Rows = prior - whitened.T @ whitened
        return covariance

    @property
    def _factor(self) -> Floats:
        count = len(self.observed)
        return self._factor_buffer[:count, :count]

    @property
    def _whitened(self) -> Rows:
        return self._whitened_buffer[: len(self.observed)]

    def _noise(self) -> Floats:
        """(observations,): the variance of each observed mean."""
        seeds = [mean.seeds for mean in self.observed]
        return self.covariance.noise / np.array(seeds, dtype=float)

    def _reserve_rows(self, number: int = 64) -> None:
        """Make room for further observations, many at a time."""
        self._factor_buffer = np.pad(self._factor_buffer, (0, number))
        self._whitened_buffer = np.pad(self._whitened_buffer, ((0, number), (0, 0)))
