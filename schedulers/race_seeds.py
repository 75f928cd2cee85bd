"""The runs of a race, summarised by candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schedulers.encoded_space import Floats, Ints

Runs = Mapping[int, Sequence[float]]  # top-1 in percent of each candidate's seeds; 0 for a run that diverged


@dataclass(frozen=True, eq=False)
class SeedMeans:
    """Mean top-1 of every candidate that has run, and the standard deviation between seeds, pooled over candidates."""

    candidates: Ints  # (n,) ascending
    counts: Floats  # (n,) seeds
    means: Floats  # (n,) percent
    sd: float
    degrees_of_freedom: float  # of the standard deviation

    @classmethod
    def of(cls, runs: Runs, *, prior_freedom: float = 2.0, prior_sd: float = 0.5) -> SeedMeans:
        """Means below `best - 2 * (best - median)` are raised to it: those candidates count as not trained.

        Before there are second seeds, the standard deviation is guessed as `prior_sd` times that between candidates.
        The guess counts as `prior_freedom` degrees of freedom.
        """
        candidates = sorted(candidate for candidate, values in runs.items() if len(values))
        means = np.array([np.mean(runs[candidate]) for candidate in candidates])
        counts = np.array([len(runs[candidate]) for candidate in candidates], dtype=float)
        if not candidates:
            return cls(np.array([], dtype=np.int64), counts, means, 1e-6, prior_freedom)
        floor = means.max() - 2 * (means.max() - np.median(means))
        trained = means >= floor
        means = np.maximum(means, floor)

        guessed_variance = prior_sd**2 * float(means.var())
        degrees_of_freedom = prior_freedom
        squares = 0.0
        for candidate, is_trained in zip(candidates, trained, strict=True):
            if is_trained:
                values = np.asarray(runs[candidate], dtype=float)
                degrees_of_freedom += len(values) - 1
                squares += float(((values - values.mean()) ** 2).sum())
        variance = (prior_freedom * guessed_variance + squares) / degrees_of_freedom
        sd = max(float(np.sqrt(variance)), 1e-6)
        return cls(np.array(candidates, dtype=np.int64), counts, means, sd, degrees_of_freedom)

    def subset(self, places: Ints) -> SeedMeans:
        """The same for some of the candidates, by their place among these."""
        return SeedMeans(
            self.candidates[places], self.counts[places], self.means[places], self.sd, self.degrees_of_freedom
        )
