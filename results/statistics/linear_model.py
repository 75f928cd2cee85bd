"""Ordinary least squares: a linear model whose columns may be redundant, and the slope of a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats
from statsmodels.regression.linear_model import OLS

from results.statistics.significance import ALPHA

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearModel:
    """A fitted linear model with an intercept; the arrays have one value per column, without the intercept's.

    NaN where the columns do not determine a coefficient, and in intervals and p values without degrees of freedom.
    """

    fit: Any  # statsmodels' results
    effect: Floats
    low: Floats  # 95 % t-interval
    high: Floats
    p: Floats  # t-test against 0; NaN too where the fit is exact
    squares: float  # sum of squared residuals; 0 where they are rounding errors

    def share_without(self, smaller: LinearModel, total_squares: float) -> tuple[float, float]:
        """The share of `total_squares` that this model explains beyond a `smaller` nested one, and the F-test's p.

        Both are NaN if the additional columns are redundant or nothing varies; p is NaN without degrees of freedom.
        """
        if self.fit.df_resid == smaller.fit.df_resid or total_squares == 0:
            return nan, nan
        share = max(smaller.squares - self.squares, 0.0) / total_squares
        if self.fit.df_resid == 0 or self.squares == 0:
            return share, nan
        _, p_value, _ = self.fit.compare_f_test(smaller.fit)
        return share, float(p_value)


def fit_linear_model(columns: Sequence[Floats], y: Floats) -> LinearModel:
    """Fit `y` (one or more values) by the intercept and `columns`, each as long as `y`.

    statsmodels inverts a design of redundant columns with a cutoff below rounding errors and does not say which
    coefficients are determined. So it gets a design of full rank, and the coefficients are contrasts of that fit.
    """
    design = np.column_stack([np.ones(len(y)), *columns])
    row_space = linalg.orth(design.T)  # (coefficients, rank)
    fit = OLS(y, design @ row_space).fit()
    effect = row_space @ fit.params
    # Rounding leaves about 1e-14 where the fit is exact; a single test image moves top-1 by far more than 1e-10 of it.
    exact = np.abs(fit.resid).max() <= 1e-10 * np.abs(y).max()
    unknown = np.full_like(effect, nan)
    low = unknown
    high = unknown
    p = unknown
    if fit.df_resid > 0 and exact:
        low = effect
        high = effect
    elif fit.df_resid > 0:
        contrasts = fit.t_test(row_space)
        low, high = contrasts.conf_int(ALPHA).T
        p = contrasts.pvalue
    # A coefficient is determined if its unit vector lies in the row space.
    determined = (row_space**2).sum(axis=1) > 1 - 1e-8
    effect, low, high, p = (np.where(determined, values, nan)[1:] for values in (effect, low, high, p))
    squares = 0.0 if exact else float(fit.ssr)
    return LinearModel(fit, effect, low, high, p, squares)


@dataclass(frozen=True)
class Trend:
    """The slope of a least-squares line with its 95 % t-interval, in units of y per unit of x."""

    slope: float
    low: float
    high: float
    p: float


def fit_trend(x: Sequence[float], y: Sequence[float]) -> Trend:
    """The least-squares line of `y` over `x`; NaN with fewer than 3 points or a single distinct x.

    Where all of y is one value there is no noise to judge by: the slope is 0, the rest NaN.
    """
    if len(x) < 3 or len(set(x)) < 2:
        return Trend(nan, nan, nan, nan)
    line = stats.linregress(x, y)
    half_width = stats.t.isf(ALPHA / 2, len(x) - 2) * line.stderr
    return Trend(
        slope=float(line.slope),
        low=float(line.slope - half_width),
        high=float(line.slope + half_width),
        p=float(line.pvalue),
    )
