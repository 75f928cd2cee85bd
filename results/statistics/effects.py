"""Which stages, and which pairs of stages, matter: linear models of the test top-1 of a study's finished trials."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from results.statistics.factors import Design, interaction_columns, make_design
from results.statistics.finished import finished_trials
from results.statistics.linear_model import fit_linear_model


def main_effects(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The effect of each level of each factor against the `baseline` placement's level, in an additive model.

    `effect` is in percentage points of top-1, `low` to `high` is its 95 % t-interval, `p` is not corrected for the
    number of rows. An effect is missing where the trials cannot tell factors apart; interval and p are also missing
    without degrees of freedom.
    """
    finished = finished_trials(trials)
    design = make_design(finished["placement"], baseline)
    return _effects(design, _top1(finished))


def interactions(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """How far two stages' mixers together differ from the sum of their main effects, in percentage points of top-1.

    One model holds all pairs and the main effects; pairs that the trials cannot estimate are left out.
    """
    finished = finished_trials(trials)
    design = make_design(finished["placement"], baseline)
    table = _effects(design | interaction_columns(design), _top1(finished))
    table = table.iloc[len(design) :].rename(columns={"factor": "factors", "level": "levels"})
    return table[table["effect"].notna()].reset_index(drop=True)


def importance(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The share of the variance of top-1 (0 to 1) that only this factor explains, and the F-test's p without it.

    A pair of stages is judged as an addition to all main effects. The share is missing for a factor that others imply,
    p is also missing without degrees of freedom. The most important factor comes first.
    """
    finished = finished_trials(trials)
    top1 = _top1(finished)
    design = make_design(finished["placement"], baseline)
    pairs = interaction_columns(design)
    factors = list(dict.fromkeys(factor for factor, _ in design | pairs))
    gains = [_gain(factor, design, pairs, top1) for factor in factors]
    table = pd.DataFrame(gains, columns=["share", "p"], dtype="float64")
    table.insert(0, "factor", pd.Series(factors, dtype="str"))
    is_pair = table["factor"].str.contains(" x ")
    table = table[table["share"].notna() | ~is_pair]
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _top1(finished: pd.DataFrame) -> NDArray[np.float64]:
    return finished["test_top1"].to_numpy(dtype="float64")


def _effects(design: Design, top1: NDArray[np.float64]) -> pd.DataFrame:
    """A row for each column of the design: its factor, level, effect, interval, p and number of trials."""
    table = pd.DataFrame(list(design), columns=["factor", "level"], dtype="str")
    if not design:
        return table.assign(**dict.fromkeys(["effect", "low", "high", "p"], 0.0), trials=0)
    model = fit_linear_model(list(design.values()), top1)
    counts = [int(column.sum()) for column in design.values()]
    return table.assign(effect=model.effect, low=model.low, high=model.high, p=model.p, trials=counts)


def _gain(factor: str, design: Design, pairs: Design, top1: NDArray[np.float64]) -> tuple[float, float]:
    """The share of the variance that `factor` adds to all main effects, and the p value of its F-test."""
    columns_of_factor = {key: column for key, column in pairs.items() if key[0] == factor}
    larger = design | columns_of_factor
    smaller = [column for key, column in larger.items() if key[0] != factor]
    full_model = fit_linear_model(list(larger.values()), top1)
    model_without = fit_linear_model(smaller, top1)
    total_squares = fit_linear_model([], top1).squares
    return full_model.share_without(model_without, total_squares)
