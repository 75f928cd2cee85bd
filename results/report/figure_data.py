"""The data of each figure as a DataFrame; figures.py draws it and column_docs.NOTES explains the columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from results.report.device_costs import cost_by_placement
from results.settings import PublishedRow
from results.statistics.finished import finished_top1
from results.statistics.linear_model import fit_trend
from results.statistics.significance import ALPHA, holm
from schedulers.pareto import dominated


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, published: Sequence[str]) -> pd.DataFrame:
    """Validation top-1 (percent) by placement and epoch: mean, lowest and highest over seeds, and number of seeds.

    The `published` placements come first. A curve ends with the shortest of its seeds, because the mean of the
    remaining seeds could rise although none improved. Running trials are left out if their placement has ended ones.
    """
    ended = trials[trials["status"] != "running"]
    only_running = trials[~trials["placement"].isin(ended["placement"])]
    shown = pd.concat([ended, only_running])
    rows = epochs.merge(shown[["key", "placement"]], on="key").dropna(subset="top1")
    order = {placement: number for number, placement in enumerate(published)}
    rank = rows["placement"].map(order)
    rows = rows.assign(published=rank.notna(), rank=rank.fillna(len(published)))
    groups = rows.groupby(["rank", "placement", "published", "epoch"])["top1"]
    curves = groups.agg(["mean", "min", "max", "count"]).reset_index().drop(columns="rank")
    curves = curves.rename(columns={"min": "low", "max": "high", "count": "seeds"})
    most_seeds = curves.groupby("placement")["seeds"].transform("max")
    return curves[curves["seeds"] == most_seeds].reset_index(drop=True)


def head_counts(trials: pd.DataFrame, costs: pd.DataFrame, rows: Sequence[PublishedRow]) -> pd.DataFrame:
    """Figure 3: test top-1 (percent; mean, 95 % t-interval, seeds) and images per second by series and head count.

    Uses the `rows` with a head count that have finished trials.
    """
    top1 = finished_top1(trials)
    speed = cost_by_placement(trials, costs, "images_per_second")
    data = []
    for row in rows:
        if row.heads is None or row.placement not in top1:
            continue
        data.append(
            {
                "series": row.row,
                "heads": row.heads,
                "placement": row.placement,
                **_mean_with_interval(top1[row.placement]),
                "images_per_second": speed.get(row.placement, np.nan),
            }
        )
    columns = ["series", "heads", "placement", "mean", "low", "high", "seeds", "images_per_second"]
    return pd.DataFrame(data, columns=columns)


def head_trends(trials: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """The change of test top-1 (percentage points) per doubling of the heads: slope, 95 % t-interval and verdict.

    One row for each series of `counts`, the data of `head_counts`. p values are Holm-corrected over the series.
    """
    top1 = finished_top1(trials)
    rows = []
    for series, group in counts.groupby("series", sort=False):
        doublings = []
        values = []
        for heads, placement in zip(group["heads"], group["placement"], strict=True):
            doublings += [np.log2(heads)] * len(top1[placement])
            values += top1[placement]
        trend = fit_trend(doublings, values)
        rows.append((series, trend.slope, trend.low, trend.high, trend.p, len(values)))
    table = pd.DataFrame(rows, columns=["series", "slope", "low", "high", "p", "trials"])
    tested = table["p"].notna()
    table.loc[tested, "p"] = holm(table["p"][tested].tolist())
    direction = np.where(table["slope"] > 0, "rises", "falls")
    table["verdict"] = np.where(table["p"] <= ALPHA, direction, "unresolved")
    return table


def trade_offs(trials: pd.DataFrame, costs: pd.DataFrame, published: Sequence[str]) -> pd.DataFrame:
    """Test top-1 (percent; mean, 95 % t-interval), FLOPs and images per second of every placement that has finished.

    `front_flops` and `front_speed` mark the two Pareto fronts: top-1 against FLOPs, and against images per second.
    """
    flops = cost_by_placement(trials, costs, "flops")
    speed = cost_by_placement(trials, costs, "images_per_second")
    rows = []
    for placement, values in finished_top1(trials).items():
        rows.append(
            {
                "placement": placement,
                "published": placement in published,
                **_mean_with_interval(values),
                "flops": flops.get(placement, np.nan),
                "images_per_second": speed.get(placement, np.nan),
            }
        )
    columns = ["placement", "published", "mean", "low", "high", "seeds", "flops", "images_per_second"]
    table = pd.DataFrame(rows, columns=columns).rename(columns={"mean": "test_top1"})
    table["front_flops"] = on_pareto_front(table["test_top1"], -table["flops"])
    table["front_speed"] = on_pareto_front(table["test_top1"], table["images_per_second"])
    return table


def on_pareto_front(first: pd.Series, second: pd.Series) -> NDArray[np.bool_]:
    """Which rows no other row dominates; larger is better in both. Rows with a missing value are not on the front."""
    scores = np.column_stack([first, second]).astype("float64")
    missing = np.isnan(scores).any(axis=1)
    return ~dominated(scores) & ~missing


def _mean_with_interval(values: Sequence[float]) -> dict[str, float]:
    """Mean, seeds, and the mean's 95 % t-interval within 0 to 100 %; a single value has no interval."""
    mean = float(np.mean(values))
    seeds = len(values)
    half_width = np.nan
    if seeds > 1:
        standard_error = np.std(values, ddof=1) / seeds**0.5
        half_width = special.stdtrit(seeds - 1, 1 - ALPHA / 2) * standard_error
    low, high = np.clip([mean - half_width, mean + half_width], 0, 100)
    return {"mean": mean, "low": low, "high": high, "seeds": seeds}
