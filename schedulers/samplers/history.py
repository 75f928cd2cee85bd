"""Queries on the observations so far that several samplers share."""

from __future__ import annotations

import numpy as np

from schedulers.encoded_space import Bools, EncodedSpace, Ints, Observations

IndexedValue = tuple[int, float]  # a candidate's index and its top-1


def proposal_rng(seed: int, observations: Observations) -> np.random.Generator:
    """A random generator for the next proposal alone, so that a restarted search draws the same numbers."""
    return np.random.default_rng([seed, len(observations)])


def unseen_mask(space: EncodedSpace, observations: Observations) -> Bools:
    """(candidates,): whether each candidate has not been proposed yet."""
    unseen = np.ones(len(space), dtype=bool)
    unseen[[observation.index for observation in observations]] = False
    return unseen


def nearest_unseen(space: EncodedSpace, levels: Ints, unseen: Bools, rng: np.random.Generator) -> int:
    """A random one of the unseen candidates that differ from `levels` on the fewest axes."""
    axes = space.levels.shape[1]
    distances = np.where(unseen, (space.levels != levels).sum(axis=1), axes + 1)
    return int(rng.choice(np.flatnonzero(distances == distances.min())))


def ended_values(observations: Observations) -> list[IndexedValue]:
    """Index and top-1 of the candidates that ended or diverged, in order; -inf for those that diverged."""
    values = []
    for observation in observations:
        if observation.status != "running":
            value = -np.inf if observation.value is None else observation.value
            values.append((observation.index, value))
    return values


def best_observed(observations: Observations) -> int:
    """The index with the highest top-1 so far; of equals, the first. Raises ValueError before any has a top-1."""
    ended = [(observation.value, observation.index) for observation in observations if observation.value is not None]
    if not ended:
        raise ValueError(f"none of {len(observations)} trials has a top-1 yet")
    _, index = max(ended, key=lambda pair: pair[0])
    return index
