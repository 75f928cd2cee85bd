"""The point of which a Gaussian process expects the largest improvement.

Its covariance is one guess of many, so it is too sure of itself. With its standard deviation doubled, the regret after
100 trials of NAS-Bench-201 on CIFAR-10 falls from .10 to .06 points (60 searches, errors .02), and it is no higher
after 10 to 50. `python -m benchmarks.search_efficiency` measures the regret.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.gp_posterior import Codes, Floats, Posterior, Told
from schedulers.samplers.history import best_observed, ended_values, proposal_rng, unseen_mask

INITIAL = (5, 10)  # the first proposals spread over the levels: one for each level of the longest axis, but within this
FIRST_FIT = 2  # values
GROWTH = 1.1  # of the number of values from one fit of the covariance to the next
CLIP = 3.0  # a value is lifted to so many times the way from the best to the median below the median
DOUBT = 2.0  # factor on the standard deviation
OFFSET = 0.3  # of the logarithmic scale: how far from the best, in units of that way, values begin to crowd


class GP:
    """Expected improvement over every unseen point; in hypervolume where candidates have costs.

    A proposal follows from the seed and from `seen` alone. What is kept between two of them saves time only.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._points: EncodedSpace | None = None
        self._fitted: tuple[list[tuple[int, float]], list[Told]] | None = None
        self._posterior: Posterior

    def propose(self, points: EncodedSpace, seen: Sequence[Observation]) -> int | None:
        rng, free = proposal_rng(self.seed, seen), unseen_mask(points, seen)
        if not free.any():
            return None
        if len(seen) < _initial(points) or sum(past.status == "ended" for past in seen) < FIRST_FIT:
            return _spread(points, seen, free, rng)
        means, sd = self._believe(points, seen)
        known = np.array([point for point, _ in ended_values(seen)])
        gains = [expected_gain(points, mean, DOUBT * sd, known) for mean in means]
        return _pick(np.sum(gains, axis=0), free, rng)

    def recommend(self, points: EncodedSpace, seen: Sequence[Observation]) -> int:
        """The point with the highest mean among those that have a top-1. ValueError before one has."""
        best = best_observed(seen)
        ended = [past.index for past in seen if past.status == "ended"]
        if len(ended) < FIRST_FIT:
            return best
        means, _ = self._believe(points, seen)
        return ended[int(np.argmax(means.mean(axis=0)[ended]))]

    def _believe(self, points: EncodedSpace, seen: Sequence[Observation]) -> tuple[Floats, Floats]:
        """Means, one a view, and the standard deviation of all points."""
        if self._points is not points:
            self._points, self._codes, self._fitted = points, Codes.of(points), None
        known = np.array([past.status != "running" for past in seen])
        pairs, told = ended_values(seen), [(past.index, past.seeds) for past in seen]
        count = _fit_at(len(pairs))
        block = int(np.flatnonzero(known)[count - 1]) + 1
        self._condition(pairs[:count], told[:block], told[block:])
        return self._posterior.mean(views(pairs), known).astype(float), self._posterior.sd()

    def _condition(self, pairs: list[tuple[int, float]], block: list[Told], rest: list[Told]) -> None:
        """Fit to `pairs`, condition on a block at once and on the rest one by one.

        Always in that order, so that a search that is started again rounds as this one does.
        """
        everything = block + rest
        if self._fitted != (pairs, block) or self._posterior.told != everything[: len(self._posterior.told)]:
            from schedulers.samplers.gp_kernel import fit

            rows = self._codes.rows[[point for point, _ in pairs]]
            covariance = fit(rows, self._codes.term, views(pairs))
            self._fitted, self._posterior = (pairs, block), Posterior(self._codes, covariance, block)
        for told in everything[len(self._posterior.told) :]:
            self._posterior.append(*told)


def views(pairs: Sequence[tuple[int, float]]) -> Floats:
    """(values, views): the values standardised after failures were lifted, and on a scale that is finer at the top.

    A few failed runs must not set the scale by which the good are told apart. How steep it should be at the top differs
    between spaces, so the improvements on both scales are added up.
    """
    values = np.array([value for _, value in pairs])
    values = np.maximum(values, min(values[np.isfinite(values)], default=0.0))
    middle, top = np.median(values), values.max()
    spread = max(top - middle, 1e-9)
    lifted = np.maximum(values, middle - CLIP * spread)
    finer = -np.log((top - values) / spread + OFFSET)
    both = np.stack([lifted, finer], axis=1)
    return (both - both.mean(axis=0)) / np.maximum(both.std(axis=0), 1e-9)


def expected_improvement(mean: Floats, sd: Floats, level: float) -> Floats:
    off = (mean - level) / sd
    # Far below the level the two terms cancel, and rounding may leave less than nothing.
    return np.maximum(sd * (off * special.ndtr(off) + np.exp(-off * off / 2) / np.sqrt(2 * np.pi)), 0)


def expected_gain(points: EncodedSpace, mean: Floats, sd: Floats, known: NDArray[np.int64]) -> Floats:
    """Improvement on the best mean of the known points or, with costs, of the area that their front covers.

    A cost is known before, so the area is exact: what is above the front to the right of the cost. Costs are compared
    by rank, for they may span decades.
    """
    if points.costs is None:
        return expected_improvement(mean, sd, mean[known].max())
    rank = np.unique(points.costs, return_inverse=True)[1].astype(float)
    order = known[np.argsort(rank[known], kind="stable")]
    front = np.r_[mean[order].min(), np.maximum.accumulate(mean[order])]
    edges = np.r_[0.0, rank[order], rank.max() + 1]
    gain = np.zeros(len(points))
    for level, first in zip(*np.unique(front, return_index=True), strict=True):
        end = edges[np.searchsorted(front, level, side="right")]
        width = np.clip(end - np.maximum(edges[first], rank), 0, None)
        gain += width * expected_improvement(mean, sd, level)
    return gain


def _pick(gains: Floats, free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """The largest gain among free points; chance among those that differ by rounding only."""
    gains = np.where(free, gains, -np.inf)
    return int(rng.choice(np.flatnonzero(gains >= gains.max() * (1 - 1e-6))))


def _initial(points: EncodedSpace) -> int:
    return int(np.clip(max(len(np.unique(levels)) for levels in points.levels.T), *INITIAL))


def _spread(
    points: EncodedSpace, seen: Sequence[Observation], free: NDArray[np.bool_], rng: np.random.Generator
) -> int:
    """A free point whose levels were proposed least often so far."""
    taken = points.levels[[past.index for past in seen]]
    often = np.zeros(len(points))
    for axis, levels in enumerate(points.levels.T):
        values, place = np.unique(levels, return_inverse=True)
        counts = np.bincount(np.searchsorted(values, taken[:, axis]), minlength=len(values))
        often += counts[place] ** 2
    often[~free] = np.inf
    return int(rng.choice(np.flatnonzero(often == often.min())))


def _fit_at(count: int) -> int:
    """The last number of values, of those at which the covariance is fitted, that `count` values reach."""
    last = FIRST_FIT
    while (following := max(last + 1, int(last * GROWTH))) <= count:
        last = following
    return last
