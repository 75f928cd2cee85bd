"""Who proposes the next candidate: the grid, chance, evolution, a tree of Parzen estimators, a Gaussian process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.gp import GP
from schedulers.samplers.history import best_observed, generator, judged, nearest, unseen
from schedulers.samplers.tpe import TPE

POPULATION = 20
TOURNAMENT = 5


@dataclass(frozen=True)
class Grid:
    """The points in their order."""

    seed: int = 0

    def propose(self, points: EncodedSpace, seen: Sequence[Observation]) -> int | None:
        free = np.flatnonzero(unseen(points, seen))
        return int(free[0]) if free.size else None

    def recommend(self, points: EncodedSpace, seen: Sequence[Observation]) -> int:
        return best_observed(seen)


@dataclass(frozen=True)
class Random:
    """Every unseen point with the same chance."""

    seed: int = 0

    def propose(self, points: EncodedSpace, seen: Sequence[Observation]) -> int | None:
        free = np.flatnonzero(unseen(points, seen))
        return int(generator(self.seed, seen).choice(free)) if free.size else None

    def recommend(self, points: EncodedSpace, seen: Sequence[Observation]) -> int:
        return best_observed(seen)


@dataclass(frozen=True)
class Evolution:
    """Regularised evolution (arXiv 1802.01548): the best of a few of the youngest has a child that differs on one axis.

    A child that was proposed before, or is no point, gives way to the nearest point that was not. Where candidates have
    costs, the best is one that the fewest others beat both in top-1 and in cost.
    """

    seed: int = 0

    def propose(self, points: EncodedSpace, seen: Sequence[Observation]) -> int | None:
        rng, free = generator(self.seed, seen), unseen(points, seen)
        if not free.any():
            return None
        young = judged(seen)[-POPULATION:]
        if len(young) < POPULATION:
            return int(rng.choice(np.flatnonzero(free)))
        several = [young[place] for place in rng.choice(POPULATION, TOURNAMENT, replace=False)]
        parent = several[int(np.argmin(_beaten(points, several)))][0]
        return nearest(points, points.levels[parent], free, rng)

    def recommend(self, points: EncodedSpace, seen: Sequence[Observation]) -> int:
        return best_observed(seen)


def _beaten(points: EncodedSpace, several: Sequence[tuple[int, float]]) -> NDArray[np.int64]:
    """By how many of the others each is beaten: in top-1, or in both top-1 and cost."""
    indices, values = np.array([point for point, _ in several]), np.array([value for _, value in several])
    beats = values[:, None] > values
    if points.costs is not None:
        costs = points.costs[indices]
        no_worse = (values[:, None] >= values) & (costs[:, None] <= costs)
        beats = no_worse & ~no_worse.T
    return beats.sum(axis=0)


SAMPLERS: dict[str, type[Grid | Random | Evolution | TPE | GP]] = {
    "grid": Grid,
    "random": Random,
    "evolution": Evolution,
    "tpe": TPE,
    "gp": GP,
}


def make_sampler(name: str, seed: int) -> Grid | Random | Evolution | TPE | GP:
    """ValueError for a name that is none of SAMPLERS."""
    if name not in SAMPLERS:
        raise ValueError(f"no sampler {name!r} among {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed)
