"""Racing: which candidate gets one more seed, until one of them is the best at a given confidence.

A candidate's top-1 is a smooth surface over the levels, plus a deviation of its own, plus the noise of the seed. How
much each counts is learned from the runs: where neighbours say nothing, the race is one of unrelated candidates.

The doubt that a rival leaves is the odds of a tie with the leader against a difference: the inverse of an e-value
(Robbins, Annals of Mathematical Statistics 41, 1970; Grünwald et al., JRSS B 86, 2024). A t-test or a probability of
being best would, looked at after every run, sooner or later name one of two equals; this does in 1 - confidence.
A candidate that was never run may be dropped on its neighbours' word alone: a race does not find needles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from schedulers.encoded_space import EncodedSpace

START = (3, 0.25, 32)  # run once before anything is concluded: a share of the candidates, and its bounds
KEPT = 256  # candidates that are looked at jointly; of more, those that may still be best
FITTED = 150  # candidates that the surface is learned from
TAIL = 2  # times as far below the best as the middle: there a candidate counts as untrained
PRIOR_DF = 2.0  # what the guess of the sd between seeds counts, before there are second seeds
PRIOR_SD = 0.5  # that guess, in sds between candidates
LIKENESS = (0.4, 0.7, 0.85, 0.95)  # correlation of the surface over one axis
OWN = (0.03, 0.1, 0.3)  # share of a candidate's own deviation in the variance between candidates
SPREAD = (0.01, 0.1, 0.5, 2.0)  # variance between candidates, in variances of what was seen
RELEVANT = 2.0  # sds between seeds: differences that the evidence is tuned to; at 1, ties were declared too often
LEVEL = 100.0  # prior variance of the common level, in the same

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Runs = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class RaceState:
    """How a race stands after the runs so far."""

    leader: int | None  # None before the first run has ended
    confidence: float  # that the leader is the best
    contenders: tuple[int, ...]  # still in the race, the leader first, the most doubtful next
    sd: float  # between seeds, in points
    decided: bool


@dataclass(frozen=True)
class Seeds:
    """The runs by candidate, with what did not train lifted to a floor, and the sd between seeds."""

    ran: Ints  # (n,) candidates with at least one run
    counts: Floats  # (n,)
    means: Floats  # (n,)
    sd: float
    df: float

    @classmethod
    def of(cls, runs: Runs) -> Seeds:
        ran = sorted(candidate for candidate, values in runs.items() if len(values))
        means = np.array([np.mean(runs[candidate]) for candidate in ran])
        floor = means.max() - TAIL * (means.max() - np.median(means)) if len(ran) else 0.0
        trained = [np.asarray(runs[c], dtype=float) for c, mean in zip(ran, means, strict=True) if mean >= floor]
        means = np.maximum(means, floor)
        df = PRIOR_DF + sum(len(values) - 1 for values in trained)
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in trained)
        guess = PRIOR_SD**2 * float(means.var()) if len(ran) else 0.0
        sd = np.sqrt((PRIOR_DF * guess + squares) / df)
        counts = np.array([len(runs[c]) for c in ran], dtype=float)
        return cls(np.array(ran, dtype=np.int64), counts, means, max(float(sd), 1e-6), df)


@dataclass(frozen=True)
class Prior:
    """Prior of the candidates' top-1: how alike neighbours are, how much is a candidate's own, and the spread."""

    likeness: float
    own: float
    variance: float

    def prior(self, apart: Floats) -> Floats:
        """Covariance of candidates that lie so many axes apart; the level is common to all."""
        alike = (1 - self.own) * self.likeness**apart + self.own * (apart == 0)
        return self.variance * alike


def distances(points: EncodedSpace, a: Ints, b: Ints) -> Floats:
    """(a, b) axes on which they differ; on an ordinal axis, by how much of its range."""
    apart = np.zeros((len(a), len(b)))
    for axis, ordinal in enumerate(points.ordinal):
        column = points.levels[:, axis]
        difference = np.abs(column[a, None] - column[b])
        apart += difference / max(np.ptp(column), 1) if ordinal else difference != 0
    return apart


def learned(apart: Floats, seeds: Seeds) -> Prior:
    """The likeliest surface of a grid, given the means of candidates that lie so far apart."""
    scale = float(seeds.means.var()) + seeds.sd**2
    cells = [*product(LIKENESS, OWN), (0.0, 1.0)]  # the last: neighbours say nothing
    grid = [Prior(likeness, own, spread * scale) for likeness, own in cells for spread in SPREAD]
    shapes = [Prior(likeness, own, 1.0).prior(apart) for likeness, own in cells]
    size = len(seeds.means)
    joint = np.empty((len(grid), size + 1, size + 1))
    joint[:, :size, :size] = [spread * scale * shape for shape in shapes for spread in SPREAD]
    joint[:, :size, :size] += np.diag(seeds.sd**2 / seeds.counts) + LEVEL * scale
    # With the means as a last row, the last row of the factor is the whitened means: no system is left to solve.
    joint[:, size, :size] = joint[:, :size, size] = seeds.means - seeds.means.mean()
    joint[:, size, size] = 1e12 * scale
    factors = np.linalg.cholesky(joint)
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2)[:, :size]).sum(axis=1)
    return grid[int(np.argmin(logs + (factors[:, size, :size] ** 2).sum(axis=1) / 2))]


@dataclass(frozen=True)
class Belief:
    """Mean and covariance of the candidates kept, after the runs, and their covariance before."""

    kept: Ints
    mean: Floats
    covariance: Floats
    sd: float
    df: float

    def tails(self, leader: int, variance: Floats) -> Floats:
        """Density of a tie with the leader, 1 where it is the likeliest; from the variances of the differences."""
        lead = self.mean[leader] - self.mean
        return (1 + lead**2 / variance / self.df) ** (-(self.df + 1) / 2)

    def doubts(self, leader: int) -> Floats:
        """(kept,) odds of a tie with the leader against a difference of about RELEVANT sds."""
        variance = apart_variance(self.covariance, leader)
        doubts = np.sqrt(1 + (RELEVANT * self.sd) ** 2 / variance) * self.tails(leader, variance)
        doubts[leader] = 0.0
        return np.where(self.mean > self.mean[leader], 1.0, np.minimum(doubts, 1.0))


def apart_variance(covariance: Floats, leader: int) -> Floats:
    """(kept,) variances of the differences to the leader."""
    variance = np.diagonal(covariance) + covariance[leader, leader] - 2 * covariance[leader]
    return np.clip(variance, 1e-12, None)


def believed(points: EncodedSpace, seeds: Seeds) -> Belief:
    """What the runs say of every candidate; of more than KEPT, of those most likely to be best."""
    some = np.unique(np.linspace(0, len(seeds.ran) - 1, FITTED).astype(int))
    by_mean = np.argsort(seeds.means, kind="stable")[some]
    few = Seeds(seeds.ran[by_mean], seeds.counts[by_mean], seeds.means[by_mean], seeds.sd, seeds.df)
    surface = learned(distances(points, few.ran, few.ran), few)
    kept = np.arange(len(points))
    if len(points) > KEPT:
        mean, explained = _posterior(points, few, surface, kept)
        before = (1 + LEVEL) * surface.variance
        upper = mean + 3 * np.sqrt(np.clip(before - (explained**2).sum(axis=0), 0, None))
        upper[seeds.ran[np.argmax(mean[seeds.ran])]] = np.inf  # a leader must have run
        kept = np.sort(np.argsort(-upper, kind="stable")[:KEPT])
    mean, explained = _posterior(points, seeds, surface, kept)
    prior = surface.prior(distances(points, kept, kept))
    level = LEVEL * surface.variance
    return Belief(kept, mean, prior + level - explained.T @ explained, seeds.sd, seeds.df)


def _posterior(points: EncodedSpace, seeds: Seeds, surface: Prior, at: Ints) -> tuple[Floats, Floats]:
    """Means at `at`, and the root (n, at) of what the runs take off their covariance."""
    level = LEVEL * surface.variance
    known = surface.prior(distances(points, seeds.ran, seeds.ran)) + level
    factor = np.linalg.cholesky(known + np.diag(seeds.sd**2 / seeds.counts))
    explained = np.linalg.solve(factor, surface.prior(distances(points, seeds.ran, at)) + level)
    centre = seeds.means.mean()
    return centre + explained.T @ np.linalg.solve(factor, seeds.means - centre), explained


@dataclass(frozen=True)
class Race:
    """Seeds are added where they lower the doubt about the leader most, until that is 1 - confidence."""

    confidence: float = 0.95

    def next_candidate(self, points: EncodedSpace, runs: Runs, running: Sequence[int]) -> int | None:
        """The candidate that gets one more seed, or None when the race is decided.

        `runs` are top-1 in percent by candidate, 0 for a run that diverged; `running` names one candidate a trial.
        """
        seeds = Seeds.of(runs)
        begun = set(seeds.ran.tolist()) | set(running)
        least, share, most = START
        if len(begun) < min(max(least, min(share * len(points), most)), len(points)):
            return _unlike(points, begun)
        if not len(seeds.ran):
            return min(running, key=running.count)
        belief = believed(points, seeds)
        standing = self._state(belief, points, seeds)
        if standing.decided:
            return None
        covariance = belief.covariance
        for candidate in running:
            covariance = _after(covariance, belief, candidate)
        racing = np.isin(belief.kept, standing.contenders)
        return int(belief.kept[_most_informative(belief, covariance, racing)])

    def state(self, points: EncodedSpace, runs: Runs) -> RaceState:
        """Leader, confidence, contenders: what may be said after these runs."""
        seeds = Seeds.of(runs)
        if not len(seeds.ran):
            return RaceState(None, 0.0, tuple(range(len(points))), float("nan"), False)
        return self._state(believed(points, seeds), points, seeds)

    def _state(self, belief: Belief, points: EncodedSpace, seeds: Seeds) -> RaceState:
        ran = np.isin(belief.kept, seeds.ran)
        leader = int(np.argmax(np.where(ran, belief.mean, -np.inf)))
        doubts = belief.doubts(leader)
        confidence = float(np.prod(1 - doubts))
        order = np.argsort(-doubts, kind="stable")
        rivals = belief.kept[order[doubts[order] > (1 - self.confidence) / len(points)]].tolist()
        named = int(belief.kept[leader])
        return RaceState(named, confidence, (named, *rivals), seeds.sd, confidence >= self.confidence)


def _unlike(points: EncodedSpace, begun: set[int]) -> int:
    """The candidate farthest from all that have begun."""
    if not begun:
        return 0
    apart = distances(points, np.arange(len(points)), np.array(sorted(begun)))
    return int(np.argmin((0.5**apart).sum(axis=1)))


def _after(covariance: Floats, belief: Belief, candidate: int) -> Floats:
    """The covariance once one more run of the candidate has ended."""
    place = int(np.searchsorted(belief.kept, candidate))
    if place == len(belief.kept) or belief.kept[place] != candidate:
        return covariance
    column = covariance[place]
    return covariance - np.outer(column, column) / (column[place] + belief.sd**2)


def _most_informative(belief: Belief, covariance: Floats, racing: NDArray[np.bool_]) -> int:
    """Which of those racing leaves the least doubt about the likeliest best by its next run, if means stay."""
    best = int(np.argmax(belief.mean))
    learnt = (covariance[:, [best]] - covariance) ** 2 / (np.diagonal(covariance)[:, None] + belief.sd**2)
    variance = np.clip(apart_variance(covariance, best) - learnt, 1e-12, None)
    # Scaled by the sd of the difference: of two that tie, more runs would else seem to make matters worse.
    doubt = (np.sqrt(variance) * belief.tails(best, variance)).sum(axis=1)
    return int(np.argmin(np.where(racing, doubt, np.inf)))
