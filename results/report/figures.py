"""Draws the points of results/points.py at the width of a journal's column (3.5 inches), as SVG and PNG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import cycle
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from results.report.typeset import spell

P = ParamSpec("P")
T = TypeVar("T")

# Okabe and Ito's palette, told apart by colour-blind readers; markers tell lines apart in print.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GRAY = "#999999"
WIDTH = 3.5  # inches
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "legend.fontsize": 6.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "placement",  # the same points give the same file
}


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: the function draws in STYLE."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> T:
        with plt.rc_context(STYLE):
            return function(*args, **kwargs)

    return draw


@styled
def files(figure: Figure) -> dict[str, bytes]:
    """The figure as `svg` and `png` (300 dpi); it is closed."""
    contents = {}
    for suffix, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=300, metadata=metadata)
        contents[suffix] = content.getvalue()
    plt.close(figure)
    return contents


@styled
def draw_learning_curves(points: pd.DataFrame, rungs: Sequence[int], title: str) -> Figure:
    """One line a placement with its lowest and highest seed, at most seven in colour; rungs are dotted."""
    figure, (axes,) = _frame(title, 1, 2.9)
    styles = iter(zip(COLOURS, MARKERS, strict=True))
    for rung in rungs:
        axes.axvline(rung, color=GRAY, lw=0.8, ls=":", label=_once(axes, "rung"))
    for placement, line in points.groupby("placement", sort=False):
        colour, marker = next(styles, (GRAY, ".")) if line["published"].iloc[0] else (GRAY, ".")
        label = spell(str(placement)) if colour != GRAY else _once(axes, "others")
        order = 3 if colour != GRAY else 2
        axes.plot(line["epoch"], line["mean"], color=colour, marker=marker, label=label, zorder=order)
        axes.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.12, lw=0)
        if line["epoch"].max() < points["epoch"].max():
            end = line.iloc[-1]
            axes.plot(end["epoch"], end["mean"], "x", ms=5, color=GRAY, label=_once(axes, "not trained further"))
    axes.set(xlabel="epoch", ylabel="validation top-1, %", ylim=_limits(points))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes)
    return figure


@styled
def draw_head_counts(points: pd.DataFrame, title: str) -> Figure:
    """Figure 3: accuracy with 95 % intervals, and speed, against the number of heads."""
    figure, panels = _frame(title, 2, 3.9)
    groups = points.groupby("series", sort=False)
    for number, ((series, line), colour, marker) in enumerate(
        zip(groups, cycle(COLOURS), cycle(MARKERS), strict=False)
    ):
        # Shifted a little, so that intervals at one head count do not hide each other.
        heads = line["heads"] * 1.04 ** (number - (groups.ngroups - 1) / 2)
        style: dict[str, Any] = {"color": colour, "marker": marker, "ls": "--" if "fixed" in str(series) else "-"}
        errors = np.nan_to_num([line["mean"] - line["low"], line["high"] - line["mean"]])
        panels[0].errorbar(heads, line["mean"], errors, label=series, capsize=1.5, elinewidth=0.7, **style)
        panels[1].plot(heads, line["images_per_second"], **style)
    panels[0].set_ylabel("test top-1, %")
    panels[1].set(ylabel="images/s, inference", xlabel="heads", ylim=(0, None))
    for axes in panels:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted(points["heads"].unique())))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    _legend(figure, panels[0])
    return figure


@styled
def draw_trade_offs(points: pd.DataFrame, title: str) -> Figure:
    """Accuracy with 95 % intervals against FLOPs and against speed; what no other beats is joined by a line."""
    figure, panels = _frame(title, 2, 4.2)
    fronts = points[points["front_flops"] | points["front_speed"]]["placement"].map(str)
    numbers = {placement: f"${number}$" for number, placement in enumerate(fronts, 1)}
    costs = (("flops", 1e-6, "MFLOPs an image"), ("images_per_second", 1, "images/s, inference"))
    for axes, (cost, unit, label), front in zip(panels, costs, ("front_flops", "front_speed"), strict=True):
        measured = points.dropna(subset=[cost]).sort_values(cost)
        for published, marker, colour in ((False, ".", GRAY), (True, "o", COLOURS[4])):
            group = measured[measured["published"] == published]
            if group.empty:
                continue
            errors = np.nan_to_num([group["test_top1"] - group["low"], group["high"] - group["test_top1"]])
            name = "published" if published else "searched"
            axes.errorbar(
                group[cost] * unit, group["test_top1"], errors, fmt=marker, color=colour, elinewidth=0.6, label=name
            )
        best = measured[measured[front]]
        axes.plot(best[cost] * unit, best["test_top1"], color=COLOURS[5], label="front of the means", zorder=3)
        for placement, x, y in zip(best["placement"], best[cost] * unit, best["test_top1"], strict=True):
            axes.annotate(numbers[placement], (x, y), (3, 2), textcoords="offset points", color=COLOURS[5])
        axes.set(xlabel=label, ylabel="test top-1, %")
        if measured[cost].max() > 4 * measured[cost].min():  # a narrower range has too few ticks of a logarithmic axis
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
    for placement, number in numbers.items():
        panels[0].plot([], [], ls="", marker=number, color=COLOURS[5], label=spell(placement))
    _legend(figure, panels[0])
    return figure


@styled
def draw_effects(effects: pd.DataFrame, title: str) -> Figure:
    """Each level's effect against the baseline's, with its 95 % interval."""
    known = effects.dropna(subset=["effect"]).iloc[::-1]
    figure, (axes,) = _frame(title, 1, 0.9 + 0.19 * len(known))
    names = [f"{row.factor}: {row.level}" for row in known.itertuples()]
    errors = np.nan_to_num([known["effect"] - known["low"], known["high"] - known["effect"]])
    axes.errorbar(known["effect"], range(len(known)), xerr=errors, fmt="o", color=COLOURS[4], capsize=2, elinewidth=0.8)
    axes.axvline(0, color=GRAY, lw=0.8)
    axes.set(xlabel="effect on test top-1, points", yticks=range(len(known)), yticklabels=names)
    axes.set_ylim(-0.6, len(known) - 0.4)
    return figure


def _frame(title: str, panels: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure, axes = plt.subplots(panels, figsize=(WIDTH, height), layout="constrained", squeeze=False)
    figure.suptitle(title.replace("$", r"\$"), fontsize=7)
    for panel in axes[:, 0]:
        panel.grid(alpha=0.25, lw=0.5)
    return figure, list(axes[:, 0])


def _once(axes: Axes, label: str) -> str:
    """`label` for the first artist that bears it; matplotlib leaves out labels that begin with an underscore."""
    return f"_{label}" if label in axes.get_legend_handles_labels()[1] else label


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=6.5, handlelength=1.8)


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """From the lower half of what the curves reach to just above the best: a slow start does not flatten the end."""
    best, worst = points["high"].max(), points["low"].min()
    lowest_end = points.groupby("placement")["mean"].max().min()
    bottom = max(worst, lowest_end - 2 * (best - lowest_end) - 10)
    return bottom - 1, best + 1
