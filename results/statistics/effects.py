"""Which stage, and which pair of stages, matters: linear models of the test top-1 of a study's finished trials."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from results.statistics.comparison import ALPHA

CONFIDENCE = 1 - ALPHA
_NUMBERS = {"h": "heads", "d": "head dim", "k": "kernel size"}

# A design without its intercept: a column of zeros and ones for each factor and level.
Design = dict[tuple[str, str], np.ndarray]


def factors(placements: pd.Series) -> pd.DataFrame:
    """What the placements differ in, a row each: the mixers, `stage 2`, then switches, `stage 2 heads`.

    A switch that a stage does not spell is at level "default", or "no" if it is a flag.
    """
    rows = pd.DataFrame([_levels(text) for text in placements], index=placements.index)
    columns = {}
    for name in sorted(map(str, rows), key=lambda name: (not _is_mixer(name), name)):
        levels = rows[name].fillna("no" if (rows[name] == "yes").any() else "default")
        # As numbers, so that 16 heads come after 8.
        order = sorted(set(levels), key=lambda level: (int(level) if level.isdigit() else 0, level))
        if len(order) > 1:
            columns[name] = pd.Categorical(levels, order)
    return pd.DataFrame(columns, index=placements.index)


def main_effects(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Each factor's levels against the `baseline` placement's own, other factors equal, in an additive model.

    `effect` is points of top-1, `low` to `high` its 95 % t-interval, `p` that of this row alone, however many there
    are. Missing: what the trials cannot tell apart, and interval and p where no degree of freedom is left for them.
    """
    return _effects(*_observed(trials, baseline))


def interactions(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Points of top-1 by which two stages' mixers together differ from the sum of what each does alone.

    All pairs are in one model with the main effects; only what the trials can estimate is listed.
    """
    design, top1 = _observed(trials, baseline)
    table = _effects(design | _pairs(design), top1).iloc[len(design) :]
    table = table.rename(columns={"factor": "factors", "level": "levels"})
    return table[table["effect"].notna()].reset_index(drop=True)


def importance(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Share of the variance of top-1 that the model explains only with this factor, and the F-test of dropping it.

    A pair is judged as an addition to all main effects. Missing: a factor that the others imply, which has no share
    of its own, and p where no degree of freedom is left.
    """
    design, top1 = _observed(trials, baseline)
    pairs, total = _pairs(design), _fit({}, top1).squares
    rows = []
    for factor in dict.fromkeys(name for name, _ in design | pairs):
        larger = design | {key: column for key, column in pairs.items() if key[0] == factor}
        smaller = {key: column for key, column in larger.items() if key[0] != factor}
        rows.append((factor, *_gain(_fit(smaller, top1), _fit(larger, top1), total)))
    table = pd.DataFrame(rows, columns=["factor", "share", "p"]).astype({"factor": "str", "share": float, "p": float})
    table = table[table["share"].notna() | ~table["factor"].str.contains(" x ")]
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def pareto(table: pd.DataFrame, cost: str, better: str = "low") -> pd.Series:
    """Which rows no other row beats: at least as high a `test_top1`, at least as good a `cost`, and not both equal.

    `better` is "low" or "high", the side on which the cost is good. A row with a missing value is no choice.
    """
    if better not in ("low", "high"):
        raise ValueError(f"better={better!r}, expected 'low' or 'high'")
    top1, costs = (table[name].to_numpy(dtype="float64", na_value=np.nan) for name in ("test_top1", cost))
    worth = -costs if better == "low" else costs
    as_good = (top1 >= top1[:, None]) & (worth >= worth[:, None])
    beaten = (as_good & ((top1 > top1[:, None]) | (worth > worth[:, None]))).any(axis=1)
    return pd.Series(~beaten & ~np.isnan(top1) & ~np.isnan(worth), index=table.index, name="pareto")


def _levels(placement: str) -> dict[str, str]:
    """What each stage of one placement spells out."""
    levels: dict[str, str] = {}
    for number, stage in enumerate(placement.split("-"), 1):
        mixer, *switches = stage.split(".")
        levels |= {f"stage {number}": mixer} | {f"stage {number} {name}": to for name, to in map(_switch, switches)}
    return levels


def _switch(text: str) -> tuple[str, str]:
    if text in ("unit", "small"):
        return "key", text
    return (_NUMBERS[text[0]], text[1:]) if re.fullmatch(r"[hdk]\d+", text) else (text, "yes")


def _is_mixer(factor: str) -> bool:
    return re.fullmatch(r"stage \d+", factor) is not None


def _observed(trials: pd.DataFrame, baseline: str) -> tuple[Design, np.ndarray]:
    """The levels of the finished trials other than the baseline's, and their test top-1.

    If no trial has the baseline's level of a factor, all its levels get a column and none has an effect: their sum is
    the intercept.
    """
    done = trials[(trials["status"] == "done") & trials["test_top1"].notna()]
    design: Design = {}
    for name, levels in factors(pd.Series([baseline, *done["placement"]], dtype="str")).items():
        own, seen = levels.iloc[0], levels.iloc[1:]
        for level in levels.cat.categories:
            if level != own and not (seen == level).all():
                design[str(name), level] = (seen == level).to_numpy(dtype="float64")
    return design, done["test_top1"].to_numpy(dtype="float64")


def _pairs(design: Design) -> Design:
    """A column for each two mixers of two stages that some trial has together."""
    mixers = [(key, column) for key, column in design.items() if _is_mixer(key[0])]
    together = {
        (f"{first} x {second}", f"{one} x {other}"): left * right
        for ((first, one), left), ((second, other), right) in itertools.combinations(mixers, 2)
        if first != second
    }
    return {key: column for key, column in together.items() if column.any()}


@dataclass(frozen=True)
class _Fit:
    """Ordinary least squares with an intercept, which `effect` and `error` leave out."""

    effect: np.ndarray  # NaN where the columns do not determine it
    error: np.ndarray  # standard error; NaN without degrees of freedom
    squares: float  # sum of squared residuals
    rank: int
    freedom: int


def _fit(design: Design, top1: np.ndarray) -> _Fit:
    X = np.column_stack([np.ones(len(top1)), *design.values()])
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    rank = int((s > s.max(initial=0) * max(X.shape) * np.finfo(float).eps).sum())
    U, s, V = U[:, :rank], s[:rank], Vt[:rank].T
    coefficients = V @ (U.T @ top1 / s)
    residuals = top1 - X @ coefficients
    # Rounding leaves about 1e-14 where the fit is exact; a single test image moves top-1 by far more than 1e-10 of it.
    exact = np.abs(residuals).max(initial=0) <= 1e-10 * np.abs(top1).max(initial=0)
    squares, freedom = 0.0 if exact else float(residuals @ residuals), len(top1) - rank
    error = np.sqrt(((V / s) ** 2).sum(axis=1) * (squares / freedom if freedom else np.nan))
    # A coefficient is determined if its unit vector lies in the row space, which V spans.
    known = (V**2).sum(axis=1) > 1 - 1e-8
    effect, error = (np.where(known, values, np.nan)[1:] for values in (coefficients, error))
    return _Fit(effect, error, squares, rank, freedom)


def _effects(design: Design, top1: np.ndarray) -> pd.DataFrame:
    """A row for each column of the design."""
    fit = _fit(design, top1)
    half = fit.error * special.stdtrit(fit.freedom, (1 + CONFIDENCE) / 2)
    t = np.divide(fit.effect, fit.error, out=np.full_like(fit.effect, np.nan), where=fit.error > 0)
    p = 2 * special.stdtr(fit.freedom, -np.abs(t))
    numbers = {"effect": fit.effect, "low": fit.effect - half, "high": fit.effect + half, "p": p}
    table = pd.DataFrame(list(design), columns=["factor", "level"], dtype="str").assign(**numbers)
    return table.assign(trials=np.array([column.sum() for column in design.values()], dtype="int64"))


def _gain(smaller: _Fit, larger: _Fit, total: float) -> tuple[float, float]:
    """What the larger model explains beyond the smaller one: share of `total`, and p; missing if there is no saying."""
    columns, gained = larger.rank - smaller.rank, max(smaller.squares - larger.squares, 0.0)
    if not (columns and total):
        return np.nan, np.nan
    if not (larger.freedom and larger.squares):
        return gained / total, np.nan
    ratio = gained / columns / (larger.squares / larger.freedom)
    return gained / total, float(special.fdtrc(columns, larger.freedom, ratio))
