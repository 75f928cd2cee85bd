"""The samplers without a model: grid search and random search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schedulers.encoded_space import EncodedSpace, Observations
from schedulers.samplers.history import best_observed, proposal_rng, unseen_mask


@dataclass(frozen=True)
class Grid:
    """Proposes the candidates in the order of the space."""

    seed: int = 0  # unused: every sampler is made from a seed

    def propose(self, space: EncodedSpace, observations: Observations) -> int | None:
        unseen = np.flatnonzero(unseen_mask(space, observations))
        return int(unseen[0]) if unseen.size else None

    def recommend(self, space: EncodedSpace, observations: Observations) -> int:
        return best_observed(observations)


@dataclass(frozen=True)
class Random:
    """Proposes each unseen candidate with the same probability."""

    seed: int = 0

    def propose(self, space: EncodedSpace, observations: Observations) -> int | None:
        unseen = np.flatnonzero(unseen_mask(space, observations))
        if not unseen.size:
            return None
        return int(proposal_rng(self.seed, observations).choice(unseen))

    def recommend(self, space: EncodedSpace, observations: Observations) -> int:
        return best_observed(observations)
