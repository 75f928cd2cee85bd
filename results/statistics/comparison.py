"""What the accuracies of a table carry: differences, intervals, tests, verdicts.

A verdict of win or loss rests on a t-test: Student's where both arms have the same number of seeds, Welch's where not,
Holm-adjusted over the table. Two others may veto it: a bootstrap interval that holds zero, and the permutation test.

Student's, because Welch's must guess its degrees of freedom and has 71 % power at 3 seeds where Student's has 80 %.
Equal arms keep it near its level: the verdict errs in 5.8 % at 3 seeds and 5.1 % at 10 if the spreads differ by
a factor of 2, in 11.1 % and 5.4 % if by 10. The permutation test is read at its mid-p and without Holm's factor,
because its p is coarse: at 4 seeds it steps from .029 to .057, and holding that to .05 left 64 % power of 80 %, at 5
seeds in a table of 6 comparisons 70 %. The adjusted t-test keeps the level of the table by itself; a veto can only
lower its errors. At 3 seeds no permutation p is below .1, so that test cannot veto; p is raised by 15 % instead.
`python -m benchmarks.verdicts` measures errors and power on real accuracies.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb, inf, isnan, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

ALPHA = 0.05
POWER = 0.8
MARGIN = 0.5  # points within which two accuracies count as equivalent
RESAMPLES = 9999
MAX_SEEDS = 1000
GUARD = 1.15  # factor on p where arms are too small for the permutation test to speak

Verdict = Literal["win", "loss", "equivalent", "unresolved"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A row against its baseline, in points of top-1; NaN where there is one seed, or no noise in either arm."""

    difference: float  # mean of the row minus mean of the baseline
    low: float = nan  # 95 % BCa bootstrap interval of the difference; covers 81 % at 3 seeds, 89 % at 5
    high: float = nan
    p_student: float = nan
    p_welch: float = nan
    p_permutation: float = nan  # exact up to 7 seeds an arm, else from RESAMPLES permutations
    p: float = nan  # what the verdict rests on, Holm-adjusted within the table
    p_equivalent: float = nan  # two one-sided Welch tests at the margin, Holm-adjusted within the table
    p_better: float = nan  # P(row > baseline), ties count half
    verdict: Verdict = "unresolved"
    seeds_needed: int | None = None  # of an unresolved row: seeds an arm, were the true difference the observed one


@dataclass(frozen=True)
class Trend:
    """Slope of a least-squares line with its 95 % t-interval, in units of y per unit of x."""

    slope: float
    low: float
    high: float
    p: float


def compare(
    rows: Mapping[str, Sequence[float]], baselines: Mapping[str, str], margin: float = MARGIN
) -> dict[str, Comparison]:
    """Each row of `baselines` against the row it names there; a row that names itself is left out.

    `rows` holds the top-1 of finished trials only, percent, one value a seed: a trial stopped at a rung is no sample of
    what its candidate reaches. Holm's family is every comparison that could be tested. ValueError for an unknown row.
    """
    arms = {name: np.asarray(values, dtype=float) for name, values in rows.items()}
    _check(arms, baselines)
    pairs = {row: (arms[row], arms[baseline]) for row, baseline in baselines.items() if row != baseline}
    measured = {row: _measure(a, b, margin) for row, (a, b) in pairs.items()}
    tested = [row for row, comparison in measured.items() if not isnan(comparison.p)]
    p = holm([measured[row].p for row in tested])
    p_equivalent = holm([measured[row].p_equivalent for row in tested])
    for row, adjusted, equivalent in zip(tested, p, p_equivalent, strict=True):
        adjusted_row = replace(measured[row], p=float(adjusted), p_equivalent=float(equivalent))
        measured[row] = _judge(adjusted_row, pooled_sd(pairs[row]), len(tested))
    return measured


def _check(arms: Mapping[str, Floats], baselines: Mapping[str, str]) -> None:
    for name in [*baselines, *baselines.values()]:
        if name not in arms:
            raise ValueError(f"no row {name!r} among {', '.join(arms)}")
        if not np.isfinite(arms[name]).all():
            raise ValueError(f"row {name!r} holds {arms[name].tolist()}, want finite percent")


def _measure(a: Floats, b: Floats, margin: float) -> Comparison:
    """All statistics of one comparison, its p values not yet adjusted."""
    difference = float(_difference(a, b)) if a.size and b.size else nan
    if min(a.size, b.size) < 2 or np.ptp(a) == np.ptp(b) == 0:
        return Comparison(difference=difference)
    low, high = _interval(a, b)
    p_student, p_welch = _t_test(a, b, equal_var=True), _t_test(a, b, equal_var=False)
    p_permutation, agrees = _permutation(a, b)
    p_parametric = (p_student if a.size == b.size else p_welch) * _guard(a.size, b.size)
    return Comparison(
        difference=difference,
        low=low,
        high=high,
        p_student=p_student,
        p_welch=p_welch,
        p_permutation=p_permutation,
        p=min(p_parametric, 1.0) if agrees else 1.0,
        p_equivalent=max(_t_test(a + margin, b, "greater"), _t_test(a - margin, b, "less")),
        p_better=float(1 + np.sign(a[:, None] - b).mean()) / 2,
    )


def _difference(a: Floats, b: Floats, axis: int = -1) -> Any:
    return np.mean(a, axis=axis) - np.mean(b, axis=axis)


def _interval(a: Floats, b: Floats) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    bootstrap = stats.bootstrap((a, b), _difference, n_resamples=RESAMPLES, method="BCa", rng=rng)
    return float(bootstrap.confidence_interval.low), float(bootstrap.confidence_interval.high)


def _t_test(a: Floats, b: Floats, alternative: str = "two-sided", *, equal_var: bool = False) -> float:
    # From moments: given the values, scipy warns of lost precision wherever one arm is constant.
    moments = (a.mean(), a.std(ddof=1), a.size, b.mean(), b.std(ddof=1), b.size)
    return float(stats.ttest_ind_from_stats(*moments, equal_var=equal_var, alternative=alternative).pvalue)


def _permutation(a: Floats, b: Floats) -> tuple[float, bool]:
    """The two-sided p, and whether its mid-p is at most ALPHA or the least that arms of these sizes can have."""
    rng = np.random.default_rng(0)
    test = stats.permutation_test((a, b), _rounded_difference, n_resamples=RESAMPLES, rng=rng)
    mid_p = test.pvalue - np.mean(test.null_distribution == test.statistic)
    least = 1 / comb(a.size + b.size, a.size)
    return float(test.pvalue), bool(mid_p <= max(ALPHA, least) + 1e-9)


def _guard(n: int, m: int) -> float:
    return GUARD if 2 / comb(n + m, n) > ALPHA else 1.0


def _rounded_difference(a: Floats, b: Floats, axis: int = -1) -> Any:
    # Splits of equal difference differ in the last bits, by more than scipy allows for around 90 %.
    return np.round(_difference(a, b, axis), 9)


def _judge(comparison: Comparison, sd: float, comparisons: int) -> Comparison:
    """The verdict on adjusted p values; a real difference within the margin is a win or loss, not equivalence."""
    if comparison.p <= ALPHA and comparison.low > 0:
        return replace(comparison, verdict="win")
    if comparison.p <= ALPHA and comparison.high < 0:
        return replace(comparison, verdict="loss")
    if comparison.p_equivalent <= ALPHA:
        return replace(comparison, verdict="equivalent")
    return replace(comparison, seeds_needed=seeds_needed(comparison.difference, sd, comparisons))


def holm(p: Sequence[float]) -> Floats:
    """Holm's step-down adjusted p values, in the order given (Scandinavian Journal of Statistics 6, 1979)."""
    order = np.argsort(p)
    steps = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def power(effect: float, seeds: int, level: float = ALPHA) -> float:
    """Power of the two-sided Student test at `level`, `seeds` (2 or more) an arm.

    `effect` is the true difference in standard deviations, not 0.
    """
    df = 2 * seeds - 2
    critical = stats.t.isf(level / 2, df)
    # t squared is F. scipy's noncentral t gives NaN at large effects, its noncentral F does not.
    return float(stats.ncf.sf(critical**2, 1, df, effect**2 * seeds / 2))


def seeds_needed(difference: float, sd: float, comparisons: int = 1) -> int | None:
    """The least seeds an arm that give POWER for a true `difference` and `sd`, in points; None above MAX_SEEDS."""
    if not (abs(difference) > 0 and sd > 0):
        return None
    seeds = range(2, MAX_SEEDS + 1)
    index = bisect_left(seeds, POWER, key=lambda n: power(difference / sd, n, _level(n, comparisons)))
    return seeds[index] if index < len(seeds) else None


def smallest_difference(sd: float, seeds: int, comparisons: int = 1) -> float:
    """The true difference in points that `seeds` an arm resolve with POWER; infinite for one seed."""
    if seeds < 2:
        return inf
    # At two seeds, the worst case, 80 % power comes at 1.3 critical values.
    level = _level(seeds, comparisons)
    most = 2 * stats.t.isf(level / 2, 2 * seeds - 2) + 5
    return sd * float(optimize.brentq(lambda effect: power(effect, seeds, level) - POWER, 1e-3, most))


def _level(seeds: int, comparisons: int) -> float:
    """What p of the t-test must reach if it is the smallest of so many."""
    return ALPHA / comparisons / _guard(seeds, seeds)


def pooled_sd(groups: Iterable[Sequence[float] | Floats]) -> float:
    """Standard deviation within groups, each weighted by its degrees of freedom; NaN if none has two values."""
    variances = [(np.var(group, ddof=1), len(group) - 1) for group in groups if len(group) > 1]
    if not variances:
        return nan
    return float(np.sqrt(np.average([v for v, _ in variances], weights=[df for _, df in variances])))


def trend(x: Sequence[float], y: Sequence[float]) -> Trend:
    """Least-squares line of `y` over `x`, equally long; NaN with fewer than 3 points or one distinct x.

    Where all of y is one value there is no noise to judge by: slope 0, the rest NaN.
    """
    if len(x) < 3 or len(set(x)) < 2:
        return Trend(nan, nan, nan, nan)
    line = stats.linregress(x, y)
    half = stats.t.isf(ALPHA / 2, len(x) - 2) * line.stderr
    return Trend(float(line.slope), float(line.slope - half), float(line.slope + half), float(line.pvalue))
