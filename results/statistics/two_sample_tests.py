"""Tests and intervals for the difference in means between two samples: each function takes their values."""

from __future__ import annotations

from math import comb
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind

from results.statistics.significance import ALPHA

Floats = NDArray[np.float64]


def t_test(a: Floats, b: Floats, kind: Literal["student", "welch"]) -> float:
    """The two-sided p value of Student's t-test (equal variances) or Welch's (unequal variances)."""
    # From moments, because scipy warns of lost precision when it gets the values of a constant sample.
    test = stats.ttest_ind_from_stats(
        a.mean(), a.std(ddof=1), a.size, b.mean(), b.std(ddof=1), b.size, equal_var=kind == "student"
    )
    return float(test.pvalue)


def equivalence_test(a: Floats, b: Floats, margin: float) -> float:
    """The p value of two one-sided Welch tests (TOST): small if the means differ by less than `margin`."""
    p_value, _, _ = ttost_ind(a, b, -margin, margin, usevar="unequal")
    return float(p_value)


def bootstrap_interval(a: Floats, b: Floats, resamples: int = 9999) -> tuple[float, float]:
    """The 95 % BCa bootstrap interval of mean(a) - mean(b); the same for the same values."""
    rng = np.random.default_rng(0)
    bootstrap = stats.bootstrap((a, b), _difference, n_resamples=resamples, method="BCa", rng=rng)
    interval = bootstrap.confidence_interval
    return float(interval.low), float(interval.high)


def permutation_test(a: Floats, b: Floats, resamples: int = 9999) -> tuple[float, bool]:
    """The two-sided p value, and whether the test agrees that the means differ.

    Exact where there are at most `resamples` ways to split the values (up to 7 seeds each), else from random splits.
    The test agrees if its mid-p (which counts splits equal to the observed one half) is at most ALPHA, or the least
    that samples of these sizes can have.
    """
    rng = np.random.default_rng(0)
    test = stats.permutation_test((a, b), _rounded_difference, n_resamples=resamples, rng=rng)
    share_equal = np.mean(test.null_distribution == test.statistic)
    mid_p = test.pvalue - share_equal
    least_mid_p = 1 / comb(a.size + b.size, a.size)
    agrees = mid_p <= max(ALPHA, least_mid_p) + 1e-9
    return float(test.pvalue), bool(agrees)


def probability_better(a: Floats, b: Floats) -> float:
    """The share of pairs (one value of each sample) in which that of `a` is higher; ties count half."""
    signs = np.sign(a[:, None] - b)
    return float(1 + signs.mean()) / 2


def _difference(a: Floats, b: Floats, axis: int = -1) -> Any:
    return np.mean(a, axis=axis) - np.mean(b, axis=axis)


def _rounded_difference(a: Floats, b: Floats, axis: int = -1) -> Any:
    # Splits of equal difference differ in the last bits, by more than scipy's tolerance at values around 90 %.
    return np.round(_difference(a, b, axis), 9)
