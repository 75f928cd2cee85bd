"""What every sampler asks of the points that were proposed before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schedulers.encoded_space import EncodedSpace, Observation

Floats = NDArray[np.float64]


def generator(seed: int, seen: Sequence[Observation]) -> np.random.Generator:
    """The randomness of one proposal. It lives no longer than that, so a restarted search draws the same."""
    return np.random.default_rng([seed, len(seen)])


def unseen(points: EncodedSpace, seen: Sequence[Observation]) -> NDArray[np.bool_]:
    """By point: whether it was not proposed yet."""
    free = np.ones(len(points), dtype=bool)
    free[[past.point for past in seen]] = False
    return free


def nearest(points: EncodedSpace, levels: NDArray[np.int64], free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """One of the free points that differ from `levels` on the fewest axes."""
    distances = np.where(free, (points.levels != levels).sum(axis=1), points.levels.shape[1] + 1)
    return int(rng.choice(np.flatnonzero(distances == distances.min())))


def judged(seen: Sequence[Observation]) -> list[tuple[int, float]]:
    """Points that have ended or diverged, with their top-1: that of one that diverged is below all others."""
    return [(past.point, _value(past)) for past in seen if past.status != "running"]


def _value(past: Observation) -> float:
    return -np.inf if past.value is None else past.value


def best_observed(seen: Sequence[Observation]) -> int:
    """The point with the highest top-1 so far. ValueError before one has ended."""
    ended = [(past.value, past.point) for past in seen if past.value is not None]
    if not ended:
        raise ValueError(f"none of {len(seen)} trials has a top-1 yet")
    return max(ended, key=lambda pair: pair[0])[1]
