"""Pareto dominance: one row of scores dominates another if it is nowhere lower and somewhere higher.

Scores are arrays (rows, objectives) in which larger is better; negate what should be small. A row that contains a NaN
neither dominates nor is dominated.
"""

from __future__ import annotations

import numpy as np

from schedulers.encoded_space import Bools, Floats, Ints


def dominance(scores: Floats) -> Bools:
    """(rows, rows): whether row i dominates row j."""
    no_worse = _no_worse(scores)
    return no_worse & ~no_worse.T


def dominated(scores: Floats) -> Bools:
    """(rows,): whether any other row dominates this one."""
    return np.asarray(dominance(scores).any(axis=0))


def layers(scores: Floats) -> Ints:
    """(rows,): 0 for the Pareto front, 1 for the front of what remains without it, and so on.

    Of equal rows the first counts as better, so each layer contains a row of scores only once.
    """
    no_worse = _no_worse(scores)
    repeated = np.triu(no_worse & no_worse.T, k=1)
    beats = (no_worse & ~no_worse.T) | repeated
    layer = np.zeros(len(scores), dtype=np.int64)
    remaining = np.ones(len(scores), dtype=bool)
    number = 0
    while remaining.any():
        front = remaining & ~beats[remaining].any(axis=0)
        layer[front] = number
        remaining &= ~front
        number += 1
    return layer


def _no_worse(scores: Floats) -> Bools:
    """(rows, rows): whether row i is at least as high as row j in every objective."""
    return np.asarray((scores[:, None, :] >= scores[None, :, :]).all(axis=2))
