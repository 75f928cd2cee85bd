"""How many seeds a comparison needs, and which difference a number of seeds can show."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf, nan

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from results.statistics.significance import ALPHA, small_sample_factor

POWER = 0.8


def power(effect: float, seeds: int, level: float = ALPHA) -> float:
    """The power of the two-sided Student t-test at `level` with `seeds` (2 or more) in each of the two samples.

    `effect` is the true difference in standard deviations; it must not be 0.
    """
    df = 2 * seeds - 2
    critical = stats.t.isf(level / 2, df)
    # t squared is F. scipy's noncentral t gives NaN at large effects, its noncentral F does not.
    noncentrality = effect**2 * seeds / 2
    return float(stats.ncf.sf(critical**2, 1, df, noncentrality))


def seeds_needed(difference: float, sd: float, comparisons: int = 1, max_seeds: int = 1000) -> int | None:
    """The fewest seeds per placement that find a true `difference` with 80 % power; None above `max_seeds`.

    `difference` and `sd` are in percentage points. The p value must pass Holm's strictest step among `comparisons`.
    None also if either is 0 or NaN.
    """
    if not (abs(difference) > 0 and sd > 0):
        return None

    def power_with(seeds: int) -> float:
        return power(difference / sd, seeds, _level(seeds, comparisons))

    seeds = range(2, max_seeds + 1)
    index = bisect_left(seeds, POWER, key=power_with)
    return seeds[index] if index < len(seeds) else None


def smallest_difference(sd: float, seeds: int, comparisons: int = 1) -> float:
    """The true difference (percentage points, as `sd`) that `seeds` per placement find with 80 % power.

    The p value must pass Holm's strictest step among `comparisons`. Infinite for a single seed.
    """
    if seeds < 2:
        return inf
    level = _level(seeds, comparisons)
    # 80 % power is reached at 1.3 critical values in the worst case, which is two seeds.
    upper_bound = 2 * stats.t.isf(level / 2, 2 * seeds - 2) + 5
    effect = optimize.brentq(lambda effect: power(effect, seeds, level) - POWER, 1e-3, upper_bound)
    return sd * float(effect)


def pooled_sd(groups: Iterable[Sequence[float] | NDArray[np.float64]]) -> float:
    """The standard deviation within groups, pooled by degrees of freedom; NaN if no group has two values."""
    variances = []
    degrees_of_freedom = []
    for group in groups:
        if len(group) > 1:
            variances.append(np.var(group, ddof=1))
            degrees_of_freedom.append(len(group) - 1)
    if not variances:
        return nan
    return float(np.sqrt(np.average(variances, weights=degrees_of_freedom)))


def _level(seeds: int, comparisons: int) -> float:
    """The level that the smallest p value among `comparisons` t-tests must reach."""
    return ALPHA / comparisons / small_sample_factor(seeds, seeds)
