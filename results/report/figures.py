"""Draws the four figures of a report from their data (figure_data.py)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from results.report.figure_style import COLOURS, GRAY, MARKERS, add_legend, label_once, new_figure, styled
from results.report.typeset import spell


@styled
def draw_learning_curves(curves: pd.DataFrame, rungs: Sequence[int], title: str) -> Figure:
    """One line per placement, the mean over its seeds, in a band from the lowest to the highest seed.

    The first seven published placements have colours, all others are gray. Rungs are dotted lines.
    """
    figure, (axes,) = new_figure(title, panels=1, height=2.9)
    styles = iter(zip(COLOURS, MARKERS, strict=True))
    for rung in rungs:
        axes.axvline(rung, color=GRAY, lw=0.8, ls=":", label=label_once(axes, "rung"))
    for placement, curve in curves.groupby("placement", sort=False):
        published = curve["published"].iloc[0]
        colour, marker = next(styles, (GRAY, ".")) if published else (GRAY, ".")
        if colour == GRAY:
            label = label_once(axes, "others")
            order = 2
        else:
            label = spell(str(placement))
            order = 3
        axes.plot(curve["epoch"], curve["mean"], color=colour, marker=marker, label=label, zorder=order)
        if not curve["low"].equals(curve["high"]):  # a single seed has no band
            axes.fill_between(curve["epoch"], curve["low"], curve["high"], color=colour, alpha=0.12, lw=0)
        if curve["epoch"].max() < curves["epoch"].max():
            end = curve.iloc[-1]
            ended = label_once(axes, "not trained further")
            axes.plot(end["epoch"], end["mean"], "x", ms=5, color=GRAY, label=ended)
    axes.set(xlabel="epoch", ylabel="validation top-1, %", ylim=_top1_limits(curves))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(figure, axes)
    return figure


def _top1_limits(curves: pd.DataFrame) -> tuple[float, float]:
    """Limits that leave out most of a slow start, which would flatten the differences at the end."""
    best = curves["high"].max()
    worst = curves["low"].min()
    lowest_peak = curves.groupby("placement")["mean"].max().min()
    bottom = max(worst, lowest_peak - 2 * (best - lowest_peak) - 10)
    return bottom - 1, best + 1


@styled
def draw_head_counts(points: pd.DataFrame, title: str) -> Figure:
    """Figure 3: test top-1 with its 95 % interval, and images per second, against the number of heads."""
    figure, panels = new_figure(title, panels=2, height=3.9)
    groups = points.groupby("series", sort=False)
    styles = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
    for number, (series, line) in enumerate(groups):
        colour, marker = next(styles)
        # Shifted a little, so that intervals at one head count do not hide each other.
        shift = 1.04 ** (number - (groups.ngroups - 1) / 2)
        heads = line["heads"] * shift
        style: dict[str, Any] = {"color": colour, "marker": marker, "ls": "--" if "fixed" in str(series) else "-"}
        panels[0].errorbar(
            heads, line["mean"], _errors(line, "mean"), label=series, capsize=1.5, elinewidth=0.7, **style
        )
        panels[1].plot(heads, line["images_per_second"], **style)
    panels[0].set_ylabel("test top-1, %")
    panels[1].set(ylabel="images/s, inference", xlabel="heads", ylim=(0, None))
    for axes in panels:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted(points["heads"].unique())))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    add_legend(figure, panels[0])
    return figure


@styled
def draw_trade_offs(points: pd.DataFrame, title: str) -> Figure:
    """Test top-1 with its 95 % interval against FLOPs and against images per second, each with its Pareto front."""
    figure, panels = new_figure(title, panels=2, height=4.2)
    points = points.assign(mflops=points["flops"] * 1e-6)
    on_a_front = points[points["front_flops"] | points["front_speed"]]["placement"].map(str)
    numbers = {placement: f"${number}$" for number, placement in enumerate(on_a_front, 1)}
    _draw_trade_off(panels[0], points, "mflops", "front_flops", numbers)
    panels[0].set(xlabel="MFLOPs an image", ylabel="test top-1, %")
    _draw_trade_off(panels[1], points, "images_per_second", "front_speed", numbers)
    panels[1].set(xlabel="images/s, inference", ylabel="test top-1, %")
    for placement, number in numbers.items():
        panels[0].plot([], [], ls="", marker=number, color=COLOURS[5], label=spell(placement))
    add_legend(figure, panels[0])
    return figure


def _draw_trade_off(axes: Axes, points: pd.DataFrame, cost: str, front: str, numbers: dict[str, str]) -> None:
    """One panel: `cost` is the column of the x axis, `front` that of the Pareto front, `numbers` label placements."""
    measured = points.dropna(subset=[cost]).sort_values(cost)
    for published, name, marker, colour in ((False, "searched", ".", GRAY), (True, "published", "o", COLOURS[4])):
        group = measured[measured["published"] == published]
        if group.empty:
            continue
        errors = _errors(group, "test_top1")
        axes.errorbar(group[cost], group["test_top1"], errors, fmt=marker, color=colour, elinewidth=0.6, label=name)
    best = measured[measured[front]]
    axes.plot(best[cost], best["test_top1"], color=COLOURS[5], label="front of the means", zorder=3)
    for placement, x, y in zip(best["placement"], best[cost], best["test_top1"], strict=True):
        axes.annotate(numbers[placement], (x, y), (3, 2), textcoords="offset points", color=COLOURS[5])
    if measured[cost].max() > 4 * measured[cost].min():  # a narrower range has too few ticks on a logarithmic axis
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())


@styled
def draw_effects(effects: pd.DataFrame, title: str) -> Figure:
    """The effect of each level against the baseline's, with its 95 % interval; the first row is at the top."""
    known = effects.dropna(subset=["effect"]).iloc[::-1]
    figure, (axes,) = new_figure(title, panels=1, height=0.9 + 0.19 * len(known))
    names = [f"{row.factor}: {row.level}" for row in known.itertuples()]
    positions = range(len(known))
    errors = _errors(known, "effect")
    axes.errorbar(known["effect"], positions, xerr=errors, fmt="o", color=COLOURS[4], capsize=2, elinewidth=0.8)
    axes.axvline(0, color=GRAY, lw=0.8)
    axes.set(xlabel="effect on test top-1, points", yticks=positions, yticklabels=names)
    axes.set_ylim(-0.6, len(known) - 0.4)
    return figure


def _errors(rows: pd.DataFrame, centre: str) -> NDArray[np.float64]:
    """The lengths (2, rows) of the error bars below and above column `centre`; 0 where there is no interval."""
    below = rows[centre] - rows["low"]
    above = rows["high"] - rows[centre]
    return np.nan_to_num([below, above])
