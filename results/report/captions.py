"""The texts of a report: its title, the captions of its tables and figures, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from results.report import paper
from results.report.typeset import spell
from results.settings import StudySettings
from results.statistics.significance import ALPHA, MARGIN


def title(study: str, settings: StudySettings) -> str:
    """The title of the page and of each figure."""
    return f"{study}: {_data(settings)}"


def table_title(table: str) -> str:
    """The name of a table and what it is about."""
    return f"{table}: {paper.TITLES.get(table, 'not in the paper')}"


def table_caption(table: str, settings: StudySettings, device: str, *, has_stopped_rows: bool = False) -> str:
    """How the numbers of a table were obtained; `device` is what inference speed was measured on, or empty."""
    weights = ""
    if settings.init:
        weights = f" from weights {settings.init} (which favour the token mixers that they contain)"
    plural = "s" if settings.budget > 1 else ""
    caption = (
        f"Ours: {settings.backbone} on {_data(settings)}{weights}, {settings.budget} epoch{plural}, mean ± standard "
        f"deviation over finished seeds; images/s: inference on {device or 'no device yet'}. "
        f"{paper.REMARKS.get(table, '')}"
    )
    if has_stopped_rows:
        caption = f"{caption.rstrip()} {_STOPPED}"
    return caption.rstrip()


# How to read a row that was stopped for futility; the last sentence of its table's caption.
_STOPPED = (
    "Stopped: at that epoch the row was forecast to lose, so it has no final accuracy. Its difference is a forecast "
    f"with a 95 % interval, P(worse) the probability of ending more than {MARGIN:g} points below the baseline."
)


def left_out(stopped: Sequence[str]) -> str:
    """A sentence about the stopped placements that a figure of final accuracies lacks; empty without any."""
    if not stopped:
        return ""
    return f" Left out, because they were stopped early: {', '.join(map(spell, stopped))}."


def legend(margin: float) -> str:
    """How to read the columns of any result table; `margin` in percentage points."""
    return (
        "Difference: test top-1 minus the baseline row's in percentage points, with its nominal 95 % bootstrap "
        "interval (BCa; too narrow below 10 seeds). "
        f"Verdict: at level {ALPHA:g} after Holm's correction over the table (p); equivalent means within {margin:g} "
        "points. In brackets: how many seeds per row would resolve the difference. A row with diverged seeds stays "
        "unresolved. P(better): the probability that a seed of the row beats a seed of the baseline. "
        "Bold: the best mean and all rows not significantly worse, unless that is every row."
    )


def head_counts_caption(trends: pd.DataFrame, stopped: Sequence[str] = ()) -> str:
    """The caption of the figure about head counts, with the slope of each series; `stopped` placements are left out."""
    slopes = "; ".join(f"{trend.series}: {_slope(trend)}" for trend in trends.itertuples())
    return (
        "Mean test top-1 with its 95 % t-interval, and inference speed. Change of test top-1 for each doubling of the "
        f"heads, in percentage points: {slopes}.{left_out(stopped)}"
    )


def effects_caption(baseline: str, stopped: Sequence[str] = ()) -> str:
    """How to read the tables of effects and of importance; `stopped` placements are left out."""
    return (
        "From a linear model of the finished trials' test top-1. An effect is the change in percentage points against "
        f"the mixer or switch of the baseline ({baseline}), other factors equal, with its 95 % t-interval; p values "
        "are not corrected. Share: the part of the variance that only this factor explains; a pair of stages counts "
        f"what it adds to the effects of both stages.{left_out(stopped)}"
    )


def _data(settings: StudySettings) -> str:
    return f"{settings.data_name} at {settings.img_size} px, recipe {settings.recipe_name}"


def _slope(trend: Any) -> str:
    if pd.isna(trend.low):
        return "unresolved"
    return f"{trend.slope:+.2f} [{trend.low:+.2f}, {trend.high:+.2f}], {trend.verdict}"
