"""Figures of a study: first the points (a DataFrame), then the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

# Okabe and Ito's palette, told apart by colour-blind readers; markers tell lines apart in print.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, published: Sequence[str]) -> pd.DataFrame:
    """Validation top-1 (percent) by placement and epoch: mean, lowest and highest over seeds, and how many seeds.

    The `published` placements come first and in their order. A curve ends with the first of its seeds: the mean of the
    survivors would rise without anybody getting better.
    """
    rows = epochs.merge(trials[["key", "placement"]], on="key").dropna(subset="top1")
    rank = rows["placement"].map({placement: number for number, placement in enumerate(published)})
    rows = rows.assign(published=rank.notna(), rank=rank.fillna(len(published)))
    groups = rows.groupby(["rank", "placement", "published", "epoch"])["top1"]
    points = groups.agg(["mean", "min", "max", "count"]).reset_index().drop(columns="rank")
    points = points.rename(columns={"min": "low", "max": "high", "count": "seeds"})
    complete = points["seeds"] == points.groupby("placement")["seeds"].transform("max")
    return points[complete].reset_index(drop=True)


def draw_learning_curves(points: pd.DataFrame, title: str, stem: Path) -> list[Path]:
    """Draw `points` into `<stem>.svg` and `<stem>.png`: published placements in colour, the others in gray."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    styles = iter(zip(COLOURS, MARKERS, strict=True))
    searched, stopped = "others, searched", "not trained further"
    for placement, line in points.groupby("placement", sort=False):
        published = line["published"].iloc[0]
        colour, marker = next(styles, ("#777777", ".")) if published else ("#BBBBBB", ".")
        label = str(placement).replace("dwconv", "dw") if published else searched
        style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 4, "lw": 1.4, "zorder": 3 if published else 2}
        axes.plot(line["epoch"], line["mean"], label=label, **style)
        axes.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.12, lw=0)
        searched = searched if published else "_"
        if line["epoch"].max() < points["epoch"].max():
            end = line.iloc[-1]
            axes.plot(end["epoch"], end["mean"], marker="x", ms=7, ls="", color="#777777", label=stopped, zorder=4)
            stopped = "_"
    axes.set(xlabel="epoch", ylabel="validation top-1, %", title=title.replace("$", r"\$"))
    axes.set_ylim(*_limits(points))
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(fontsize=8, loc="outside right upper", frameon=False)
    files = [stem.with_suffix(suffix) for suffix in (".svg", ".png")]
    for file in files:
        figure.savefig(file, dpi=160, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)
    return files


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """From the lower half of what the curves reach to just above the best: a slow start does not flatten the end."""
    best, worst = points["high"].max(), points["low"].min()
    lowest_end = points.groupby("placement")["mean"].max().min()
    bottom = max(worst, lowest_end - 2 * (best - lowest_end) - 10)
    return bottom - 1, best + 1
