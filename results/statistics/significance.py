"""The level and the margin of all verdicts, and how p values are corrected for small samples and many tests."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
MARGIN = 0.5  # percentage points of top-1 within which two accuracies count as equivalent


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Holm's step-down adjusted p values, in the given order (Scandinavian Journal of Statistics 6, 1979)."""
    # One p value needs no correction, and statsmodels collects garbage at each call, which takes 50 ms or more.
    if len(p_values) < 2:
        return np.array(p_values, dtype=np.float64)
    from statsmodels.stats.multitest import multipletests  # here, because it adds .2 s to the start of a search

    return multipletests(p_values, method="holm")[1]


def small_sample_factor(size: int, other_size: int) -> float:
    """Factor on the p value of a t-test: 1.15 where the samples are too small for a permutation test to reach ALPHA.

    Without it the t-test would be alone at 3 seeds, where unequal spreads make it reject too often.
    """
    smallest_two_sided_p = 2 / comb(size + other_size, size)
    return 1.15 if smallest_two_sided_p > ALPHA else 1.0
