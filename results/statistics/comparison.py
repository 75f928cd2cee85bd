"""Compares the rows of a table with their baselines: differences, intervals, p values and verdicts.

A win or a loss needs a significant t-test: Student's where both rows have the same number of seeds, Welch's where they
differ, Holm-adjusted over the table. Two further tests can veto it: a bootstrap interval that contains zero, and a
permutation test.

Student's test is used because Welch's must estimate its degrees of freedom: at 3 seeds it has 71 % power where
Student's has 80 %. Equal sample sizes keep Student's error rate near its level: verdicts are wrong in 5.8 % (3 seeds)
and 5.1 % (10 seeds) of cases if the standard deviations differ by a factor of 2, in 11.1 % and 5.4 % if by 10.

The permutation test is applied at its mid-p and without Holm's correction because its p values are coarse: at 4 seeds
they step from .029 to .057. Requiring .05 left 64 % power instead of 80 %, and at 5 seeds in a table of 6 comparisons
70 %. The adjusted t-test alone keeps the error rate of the table; a veto can only lower it. At 3 seeds no permutation p
is below .1, so that test cannot veto; the t-test's p is raised by 15 % instead.

`python -m benchmarks.verdicts` measures error rates and power on real accuracies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal

import numpy as np

from results.statistics.power import pooled_sd, seeds_needed
from results.statistics.significance import ALPHA, MARGIN, holm, small_sample_factor
from results.statistics.two_sample_tests import (
    Floats,
    bootstrap_interval,
    equivalence_test,
    permutation_test,
    probability_better,
    t_test,
)

Verdict = Literal["win", "loss", "equivalent", "unresolved"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A row against its baseline, in percentage points of top-1.

    All but the difference is NaN if either has a single seed, or if neither varies.
    """

    difference: float  # mean of the row minus mean of the baseline
    low: float = nan  # 95 % BCa bootstrap interval of the difference; it covers 81 % at 3 seeds, 89 % at 5
    high: float = nan
    p_student: float = nan
    p_welch: float = nan
    p_permutation: float = nan
    p: float = nan  # the p value that the verdict uses, Holm-adjusted within the table
    p_equivalent: float = nan  # two one-sided Welch tests at the margin, Holm-adjusted within the table
    p_better: float = nan  # probability that a seed of the row beats a seed of the baseline; ties count half
    verdict: Verdict = "unresolved"
    seeds_needed: int | None = None  # seeds per row that would resolve the observed difference, if unresolved


def compare(
    samples: Mapping[str, Sequence[float]], baselines: Mapping[str, str], margin: float = MARGIN
) -> dict[str, Comparison]:
    """Compare each key of `baselines` with the row it maps to; a row that maps to itself is left out.

    `samples` holds the test top-1 (percent, one value per seed) of each row's finished trials. Two accuracies are
    equivalent if they differ by less than `margin` percentage points. Holm's correction counts every comparison that
    could be tested. ValueError for an unknown row or a value that is not finite.
    """
    values = {name: np.asarray(sample, dtype=float) for name, sample in samples.items()}
    _check(values, baselines)
    comparisons: dict[str, Comparison] = {}
    for row, baseline in baselines.items():
        if row != baseline:
            comparisons[row] = _measure(values[row], values[baseline], margin)
    tested = [row for row, comparison in comparisons.items() if not isnan(comparison.p)]
    p_values = holm([comparisons[row].p for row in tested])
    p_equivalent_values = holm([comparisons[row].p_equivalent for row in tested])
    for row, p, p_equivalent in zip(tested, p_values, p_equivalent_values, strict=True):
        adjusted = replace(comparisons[row], p=float(p), p_equivalent=float(p_equivalent))
        sd = pooled_sd([values[row], values[baselines[row]]])
        comparisons[row] = _judge(adjusted, sd, len(tested))
    return comparisons


def _check(samples: Mapping[str, Floats], baselines: Mapping[str, str]) -> None:
    for name in [*baselines, *baselines.values()]:
        if name not in samples:
            raise ValueError(f"no row {name!r} among {', '.join(samples)}")
        if not np.isfinite(samples[name]).all():
            raise ValueError(f"row {name!r} holds {samples[name].tolist()}, expected finite percent")


def _measure(row: Floats, baseline: Floats, margin: float) -> Comparison:
    """All statistics of one comparison; its p values are not adjusted yet."""
    difference = nan
    if row.size and baseline.size:
        difference = float(row.mean() - baseline.mean())
    if min(row.size, baseline.size) < 2 or np.ptp(row) == np.ptp(baseline) == 0:
        return Comparison(difference=difference)
    low, high = bootstrap_interval(row, baseline)
    p_student = t_test(row, baseline, "student")
    p_welch = t_test(row, baseline, "welch")
    p_permutation, permutation_agrees = permutation_test(row, baseline)
    p = 1.0
    if permutation_agrees:
        p_parametric = p_student if row.size == baseline.size else p_welch
        p = min(p_parametric * small_sample_factor(row.size, baseline.size), 1.0)
    return Comparison(
        difference=difference,
        low=low,
        high=high,
        p_student=p_student,
        p_welch=p_welch,
        p_permutation=p_permutation,
        p=p,
        p_equivalent=equivalence_test(row, baseline, margin),
        p_better=probability_better(row, baseline),
    )


def _judge(comparison: Comparison, sd: float, comparisons: int) -> Comparison:
    """Add the verdict, from adjusted p values. A significant difference within the margin is a win or a loss."""
    significant = comparison.p <= ALPHA
    if significant and comparison.low > 0:
        return replace(comparison, verdict="win")
    if significant and comparison.high < 0:
        return replace(comparison, verdict="loss")
    if comparison.p_equivalent <= ALPHA:
        return replace(comparison, verdict="equivalent")
    return replace(comparison, seeds_needed=seeds_needed(comparison.difference, sd, comparisons))
