"""Regularised evolution (arXiv 1802.01548)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schedulers import pareto
from schedulers.encoded_space import EncodedSpace, Ints, Observations
from schedulers.samplers.history import (
    IndexedValue,
    best_observed,
    ended_values,
    nearest_unseen,
    proposal_rng,
    unseen_mask,
)


@dataclass(frozen=True)
class Evolution:
    """Mutates one axis of the best candidate in a random tournament among the youngest ones.

    If the mutated levels were proposed before or are no candidate, the nearest unseen candidate takes their place.
    Where candidates have costs, the tournament is won by the one that the fewest others dominate.
    """

    seed: int = 0
    population: int = 20
    tournament: int = 5

    def propose(self, space: EncodedSpace, observations: Observations) -> int | None:
        """Proposes at random until the population is complete."""
        rng = proposal_rng(self.seed, observations)
        unseen = unseen_mask(space, observations)
        if not unseen.any():
            return None
        young = ended_values(observations)[-self.population :]
        if len(young) < self.population:
            return int(rng.choice(np.flatnonzero(unseen)))
        places = rng.choice(self.population, self.tournament, replace=False)
        contestants = [young[place] for place in places]
        winner = int(np.argmin(_times_dominated(space, contestants)))
        parent, _ = contestants[winner]
        return nearest_unseen(space, space.levels[parent], unseen, rng)

    def recommend(self, space: EncodedSpace, observations: Observations) -> int:
        return best_observed(observations)


def _times_dominated(space: EncodedSpace, contestants: Sequence[IndexedValue]) -> Ints:
    """By how many of the others each contestant is dominated: in top-1 or, with costs, in top-1 and cost."""
    indices = np.array([index for index, _ in contestants])
    objectives = [np.array([value for _, value in contestants])]
    if space.costs is not None:
        objectives.append(-space.costs[indices])
    return pareto.dominance(np.stack(objectives, axis=1)).sum(axis=0)
