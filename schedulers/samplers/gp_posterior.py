"""A Gaussian process conditioned on a growing number of points, told everywhere at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from schedulers.encoded_space import EncodedSpace

Floats = NDArray[np.float64]
Told = tuple[int, int]  # a point, and of how many seeds its value is the mean
ROOM = 64  # rows are allotted so many at a time


@dataclass(frozen=True)
class Covariance:
    """variance * exp(-sum_c weights_c (x_c - y_c)^2 / 2) between the codes x and y, and the noise of one seed."""

    variance: float
    weights: Floats  # (columns,)
    noise: float  # variance


@dataclass(frozen=True, eq=False)
class Codes:
    """Points as rows of which a kernel takes distances; each column belongs to a term, which is an axis or half of one.

    A level is a column. So is each step of an ordinal axis, in a term beside that of its levels: levels that few steps
    part are near. Over the columns of a term the squares sum up to 1. An axis with one level says nothing.
    """

    rows: NDArray[np.float32]  # (points, columns)
    term: NDArray[np.int64]  # (columns,)

    @classmethod
    def of(cls, points: EncodedSpace) -> Codes:
        blocks = []
        for levels, ordinal in zip(points.levels.T, points.ordinal, strict=True):
            values = np.unique(levels)
            if len(values) > 1:
                blocks.append((levels[:, None] == values).astype(float))
            if ordinal and len(values) > 2:
                above = levels[:, None] >= values[1:]
                blocks.append(np.hstack([above, ~above]) / np.sqrt(len(values) - 1))
        blocks = blocks or [np.ones((len(points), 1))]
        term = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
        return cls(np.hstack(blocks).astype(np.float32), term)


class Posterior:
    """Rows V of L^-1 K, one for each point conditioned on, where L L^T is their covariance with the noise.

    All else follows from V: the variance by its squares, the mean by one product. Single precision, because the time
    goes into reading V: half the bytes, and an error far below the noise.
    """

    def __init__(self, codes: Codes, covariance: Covariance, told: Sequence[Told]) -> None:
        self.covariance, self.told = covariance, list(told)
        self._scaled = codes.rows * np.sqrt(covariance.weights).astype(np.float32)
        self._half_squares = (self._scaled**2).sum(axis=1) / 2
        indices = [index for index, _ in self.told]
        count, rows = len(indices), self._rows(indices)
        self._L = np.zeros((count + ROOM, count + ROOM))
        self._V = np.empty((count + ROOM, rows.shape[1]), np.float32)
        own = rows[:, indices].astype(float) + np.diag(self.noise)
        self._L[:count, :count] = linalg.cholesky(own, lower=True)
        self._V[:count] = linalg.solve_triangular(self.L.astype(np.float32), rows, lower=True)
        self._explained = np.einsum("ij,ij->j", self.V, self.V).astype(float)

    @property
    def L(self) -> Floats:  # noqa: N802
        return self._L[: len(self.told), : len(self.told)]

    @property
    def V(self) -> NDArray[np.float32]:  # noqa: N802
        return self._V[: len(self.told)]

    @property
    def noise(self) -> Floats:
        """Variance of each value: the mean over so many seeds."""
        return self.covariance.noise / np.array([seeds for _, seeds in self.told], dtype=float)

    def append(self, index: int, seeds: int) -> None:
        """Condition on one more point."""
        count = len(self.told)
        if count == len(self._L):
            self._L = np.pad(self._L, (0, ROOM))
            self._V = np.pad(self._V, ((0, ROOM), (0, 0)))
        known = self.V[:, index].astype(float)
        rest = np.sqrt(max(self.covariance.variance + self.covariance.noise / seeds - known @ known, 1e-8))
        self._L[count, :count], self._L[count, count] = known, rest
        self._V[count] = (self._rows([index])[0] - known.astype(np.float32) @ self.V) / np.float32(rest)
        self._explained += self._V[count] ** 2
        self.told.append((index, seeds))

    def mean(self, values: Floats, known: NDArray[np.bool_]) -> Floats:
        """(views, points) from (known, views); the other points conditioned on count as being what is expected of them.

        So they change no mean, but leave less variance where trials are running.
        """
        noise = np.diag(self.noise)
        own = self.L @ self.L.T - noise
        noisy = (own + noise)[np.ix_(known, known)]
        believed = own[:, known] @ linalg.solve(noisy, values, assume_a="pos")
        believed[known] = values
        return linalg.solve_triangular(self.L, believed, lower=True).T.astype(np.float32) @ self.V

    def sd(self) -> Floats:
        return np.sqrt(np.maximum(self.covariance.variance - self._explained, 1e-9))

    def _rows(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """The covariance, without noise, of some points with all."""
        some = list(indices)
        exponents = self._scaled[some] @ self._scaled.T
        exponents -= self._half_squares[some, None]
        exponents -= self._half_squares
        return np.float32(self.covariance.variance) * np.exp(exponents, out=exponents)
