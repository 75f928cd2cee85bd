"""Candidates as feature vectors whose squared distances a kernel weighs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedulers.encoded_space import EncodedSpace, Floats, Ints


@dataclass(frozen=True, eq=False)
class Features:
    """One row of features for each candidate; each column belongs to a term, which is an axis or half of one.

    An axis is one-hot encoded. An ordinal axis has a second term, with a column for each step between its levels, so
    that levels few steps apart are close. The squares of a row sum to 1 within each term. Axes with a single level are
    left out.
    """

    rows: NDArray[np.float32]  # (candidates, columns)
    term: Ints  # (columns,)

    @classmethod
    def of(cls, space: EncodedSpace) -> Features:
        blocks = []
        for levels, ordinal in zip(space.levels.T, space.ordinal, strict=True):
            values = np.unique(levels)
            if len(values) > 1:
                blocks.append((levels[:, None] == values).astype(float))
            if ordinal and len(values) > 2:
                blocks.append(_step_features(levels, values))
        if not blocks:
            blocks.append(np.ones((len(space), 1)))
        columns = [block.shape[1] for block in blocks]
        term = np.repeat(np.arange(len(blocks)), columns)
        return cls(np.hstack(blocks).astype(np.float32), term)


def _step_features(levels: Ints, values: Ints) -> Floats:
    """For each step between neighbouring values, whether a level is above it, and whether it is below."""
    above = levels[:, None] >= values[1:]
    return np.hstack([above, ~above]) / np.sqrt(len(values) - 1)
