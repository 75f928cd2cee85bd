"""Expected improvement: how much better than the best known candidate each candidate is expected to be."""

from __future__ import annotations

import numpy as np
from scipy import special

from schedulers.encoded_space import EncodedSpace, Floats, Ints


def expected_improvement(mean: Floats, sd: Floats, level: float) -> Floats:
    """(candidates,): the expected amount by which normally distributed values exceed a level."""
    standardised = (mean - level) / sd
    density = np.exp(-standardised * standardised / 2) / np.sqrt(2 * np.pi)
    probability = special.ndtr(standardised)
    improvement = sd * (standardised * probability + density)
    return np.maximum(improvement, 0)  # far below the level the two terms cancel, and rounding may leave less than 0


def expected_gain(space: EncodedSpace, mean: Floats, sd: Floats, observed: Ints) -> Floats:
    """(candidates,): expected improvement on the best posterior mean of the observed candidates.

    With costs it is the expected increase of the hypervolume, the area under the Pareto front of top-1 and the rank of
    the cost. Ranks, because costs may span decades. Costs are known in advance, so the area can be computed exactly.
    """
    if space.costs is None:
        return expected_improvement(mean, sd, mean[observed].max())
    cost_rank = np.unique(space.costs, return_inverse=True)[1].astype(float)
    by_cost = observed[np.argsort(cost_rank[observed], kind="stable")]
    # The front is a staircase: heights[i] holds from edges[i] to edges[i + 1].
    heights = np.r_[mean[by_cost].min(), np.maximum.accumulate(mean[by_cost])]
    edges = np.r_[0.0, cost_rank[by_cost], cost_rank.max() + 1]
    gain = np.zeros(len(space))
    levels, first_steps = np.unique(heights, return_index=True)
    for level, first in zip(levels, first_steps, strict=True):
        end = edges[np.searchsorted(heights, level, side="right")]
        # The part of the step from the candidate's own cost on: there it would raise the front.
        width = np.clip(end - np.maximum(edges[first], cost_rank), 0, None)
        gain += width * expected_improvement(mean, sd, level)
    return gain
