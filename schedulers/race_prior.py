"""The prior of a race: how much the results of some candidates say about those of others.

It has three numbers, taken from a grid. The sampler's covariance, with fitted weights for each level, was tried instead
(plus an individual part): 91.1 ± 1.7 against 94.3 ± 1.0 % of races right on NAS-Bench-201 with CIFAR-10, 92.0 ± 1.6
against 87.0 ± 1.4 % with CIFAR-100, and a winner declared in 10 against 4 and 6 % of races. Measured with
`python -m benchmarks.replay_race`, 30 and 60 repeats, and a covariance fitted after every 10 % more runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from schedulers.encoded_space import EncodedSpace, Floats, Ints
from schedulers.race_seeds import SeedMeans

LEVEL_VARIANCE = 100.0  # prior variance of the level that all candidates share, relative to that between them


@dataclass(frozen=True)
class Prior:
    """Covariance of the candidates' true top-1: a part that is smooth over the levels, and an individual part."""

    axis_correlation: float  # of the smooth part, between candidates that differ on one axis
    individual_share: float  # of the variance, what no other candidate shares
    variance: float  # between candidates, in squared points

    def covariance(self, distances: Floats) -> Floats:
        """Of candidates at such distances (in axes), without the level that they share."""
        smooth = (1 - self.individual_share) * self.axis_correlation**distances
        individual = self.individual_share * (distances == 0)
        return self.variance * (smooth + individual)


class RaceCovariance:
    """The prior over some candidates as the Gaussian process asks for it, the level included."""

    def __init__(self, space: EncodedSpace, candidates: Ints, prior: Prior, seed_sd: float) -> None:
        self.noise = seed_sd**2
        self.variance = (1 + LEVEL_VARIANCE) * prior.variance
        self._space = space
        self._candidates = candidates
        self._prior = prior

    def rows(self, indices: Sequence[int]) -> Floats:
        """(indices, candidates): covariance of some of the candidates, by place, with all of them."""
        distances = axis_distances(self._space, self._candidates[list(indices)], self._candidates)
        return self._prior.covariance(distances) + LEVEL_VARIANCE * self._prior.variance


def axis_distances(space: EncodedSpace, a: Ints, b: Ints) -> Floats:
    """(a, b): on how many axes candidates differ; on an ordinal axis, by what share of its range."""
    distances = np.zeros((len(a), len(b)))
    for axis, ordinal in enumerate(space.ordinal):
        levels = space.levels[:, axis]
        difference = np.abs(levels[a, None] - levels[b])
        if ordinal:
            distances += difference / max(np.ptp(levels), 1)
        else:
            distances += difference != 0
    return distances


def learn_prior(
    distances: Floats,
    seeds: SeedMeans,
    *,
    axis_correlations: Sequence[float] = (0.4, 0.7, 0.85, 0.95),
    individual_shares: Sequence[float] = (0.03, 0.1, 0.3),
    relative_variances: Sequence[float] = (0.01, 0.1, 0.5, 2.0),
) -> Prior:
    """The prior of a grid under which the means of candidates at such distances (n, n) are most probable.

    The grid includes the prior of unrelated candidates. Its variances are relative to the variance of what was seen.
    """
    scale = float(seeds.means.var()) + seeds.sd**2
    priors = []
    covariances = []
    for correlation, individual_share in [*product(axis_correlations, individual_shares), (0.0, 1.0)]:
        shape = Prior(correlation, individual_share, 1.0).covariance(distances)
        for relative_variance in relative_variances:
            priors.append(Prior(correlation, individual_share, relative_variance * scale))
            covariances.append(relative_variance * scale * shape)
    noise = np.diag(seeds.sd**2 / seeds.counts)
    centred_means = seeds.means - seeds.means.mean()
    noisy_covariances = np.array(covariances) + noise + LEVEL_VARIANCE * scale
    losses = _negative_log_likelihoods(noisy_covariances, centred_means, scale)
    return priors[int(np.argmin(losses))]


def _negative_log_likelihoods(covariances: Floats, values: Floats, scale: float) -> Floats:
    """(priors,) up to a constant, from covariances (priors, n, n) and values (n,)."""
    size = len(values)
    # With the values as a last row, the last row of the Cholesky factor is L^-1 values. This is faster than to solve.
    joint = np.empty((len(covariances), size + 1, size + 1))
    joint[:, :size, :size] = covariances
    joint[:, size, :size] = values
    joint[:, :size, size] = values
    joint[:, size, size] = 1e12 * scale
    factors = np.linalg.cholesky(joint)
    diagonals = np.diagonal(factors, axis1=1, axis2=2)[:, :size]
    log_determinants = np.log(diagonals).sum(axis=1)
    squares = (factors[:, size, :size] ** 2).sum(axis=1)
    return np.asarray(log_determinants + squares / 2)
