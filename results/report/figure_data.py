"""The points of each figure, as DataFrames; results/figures.py draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from results.report.tables import costs_here, finished_top1
from results.settings import PublishedRow
from results.statistics.comparison import ALPHA, holm, trend
from results.statistics.effects import CONFIDENCE, pareto


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Validation top-1 (percent) by placement and epoch: mean, lowest and highest over seeds, and how many seeds.

    The placements in `order` come first. A curve ends with the first of its seeds: the mean of the survivors would rise
    without anybody getting better. Running trials count only where none of their placement has ended.
    """
    ended = trials[trials["status"] != "running"]
    trials = pd.concat([ended, trials[~trials["placement"].isin(ended["placement"])]])
    rows = epochs.merge(trials[["key", "placement"]], on="key").dropna(subset="top1")
    rank = rows["placement"].map({placement: number for number, placement in enumerate(order)})
    rows = rows.assign(published=rank.notna(), rank=rank.fillna(len(order)))
    groups = rows.groupby(["rank", "placement", "published", "epoch"])["top1"]
    points = groups.agg(["mean", "min", "max", "count"]).reset_index().drop(columns="rank")
    points = points.rename(columns={"min": "low", "max": "high", "count": "seeds"})
    complete = points["seeds"] == points.groupby("placement")["seeds"].transform("max")
    return points[complete].reset_index(drop=True)


def head_counts(trials: pd.DataFrame, costs: pd.DataFrame, rows: Sequence[PublishedRow]) -> pd.DataFrame:
    """Figure 3: test top-1 (percent; mean, its 95 % t-interval, seeds) and images per second by series and head count.

    `rows` are published rows with a head count; finished trials only.
    """
    top1, speed = finished_top1(trials), speeds(trials, costs)
    points = [
        {
            "series": row.row,
            "heads": row.heads,
            "placement": row.placement,
            **_mean_with_interval(top1[row.placement]),
            "images_per_second": speed.get(row.placement, np.nan),
        }
        for row in rows
        if row.heads is not None and row.placement in top1
    ]
    columns = ["series", "heads", "placement", "mean", "low", "high", "seeds", "images_per_second"]
    return pd.DataFrame(points, columns=columns)


def head_trends(trials: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """What a doubling of the heads does to test top-1 (points), by series: slope, 95 % t-interval, verdict.

    `p` and the verdict are Holm-corrected over the series.
    """
    top1, found = finished_top1(trials), []
    for series, group in points.groupby("series", sort=False):
        runs = [(heads, top1[name]) for heads, name in zip(group["heads"], group["placement"], strict=True)]
        pairs = [(np.log2(heads), value) for heads, values in runs for value in values]
        fit = trend([heads for heads, _ in pairs], [value for _, value in pairs])
        found.append((series, fit.slope, fit.low, fit.high, fit.p, len(pairs)))
    table = pd.DataFrame(found, columns=["series", "slope", "low", "high", "p", "trials"])
    tested = table["p"].notna()
    table.loc[tested, "p"] = holm(table["p"][tested].tolist())
    resolved = table["p"] <= ALPHA
    table["verdict"] = np.where(~resolved, "unresolved", np.where(table["slope"] > 0, "rises", "falls"))
    return table


def trade_offs(trials: pd.DataFrame, costs: pd.DataFrame, published: Sequence[str]) -> pd.DataFrame:
    """Test top-1 (percent, mean and 95 % t-interval), FLOPs and images per second of every finished placement.

    `front_flops` and `front_speed`: whether no other is as accurate and as cheap.
    """
    top1, flops, speed = finished_top1(trials), _costs(trials, costs, "flops"), speeds(trials, costs)
    columns = ["placement", "published", "mean", "low", "high", "seeds", "flops", "images_per_second"]
    rows = [
        {
            "placement": placement,
            "published": placement in published,
            **_mean_with_interval(values),
            "flops": flops.get(placement, np.nan),
            "images_per_second": speed.get(placement, np.nan),
        }
        for placement, values in top1.items()
    ]
    points = pd.DataFrame(rows, columns=columns).rename(columns={"mean": "test_top1"})
    points["front_flops"] = pareto(points, "flops")
    points["front_speed"] = pareto(points, "images_per_second", better="high")
    return points


def speeds(trials: pd.DataFrame, costs: pd.DataFrame) -> dict[str, float]:
    """Images per second (inference) of each placement, on the device that most trials ran on."""
    return _costs(trials, costs, "images_per_second")


def _costs(trials: pd.DataFrame, costs: pd.DataFrame, column: str) -> dict[str, float]:
    placements = trials.drop_duplicates("placement")[["candidate", "placement"]]
    here = costs_here(trials, costs).merge(placements, on="candidate")
    return dict(zip(here["placement"], here[column].astype("float64"), strict=True))


def _mean_with_interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % t-interval within 0 to 100 %; no interval for a single value."""
    mean, number = float(np.mean(values)), len(values)
    half = np.nan
    if number > 1:
        half = special.stdtrit(number - 1, (1 + CONFIDENCE) / 2) * np.std(values, ddof=1) / number**0.5
    low, high = np.clip([mean - half, mean + half], 0, 100)
    return {"mean": mean, "low": low, "high": high, "seeds": number}
