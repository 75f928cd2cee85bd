"""The paper's tables filled from a study, as numbers: one row for each row of the paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import pandas as pd

from results.report.column_docs import TABLE
from results.report.device_costs import main_device_costs
from results.settings import PublishedRow
from results.statistics.comparison import Comparison, compare
from results.statistics.finished import finished_top1, stopped_rows
from results.statistics.significance import MARGIN


def result_table(
    trials: pd.DataFrame,
    costs: pd.DataFrame,
    rows: Sequence[PublishedRow],
    paper: pd.DataFrame,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """One row for each placement of `rows`, in their order; column_docs.TABLE explains the columns.

    The accuracies of a row are those of its finished trials, or if there are none those of the trials that came to the
    furthest epoch. Only finished trials are compared. A row that was stopped for futility is a loss without a
    comparison; its forecast stands in columns of its own. Numbers of placements that were not run are missing.
    """
    listed = pd.DataFrame(
        [(_label(row), row.placement, row.baseline) for row in rows], columns=["row", "placement", "baseline"]
    ).drop_duplicates("placement")
    table = listed.merge(_accuracies(trials), on="placement", how="left")
    table = table.merge(main_device_costs(trials, costs), on="candidate", how="left")
    table = table.merge(paper[["row", "paper_top1", "paper_says"]], on="row", how="left")
    stopped = stopped_rows(trials)
    is_judged = ~trials["placement"].isin(stopped["placement"])
    table = table.merge(_comparisons(trials[is_judged], listed, margin), on="placement", how="left")
    table = table.merge(stopped, on="placement", how="left")
    table["tied_best"] = table["placement"].isin(_tied_best(trials[is_judged], listed["placement"], margin))
    table = table.fillna({"status": "not run", "seeds": 0, "verdict": "", "paper_says": ""})
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    types = {name: column.type for name, column in TABLE.items()}
    return table[list(TABLE)].astype(types)


def _label(row: PublishedRow) -> str:
    """The name of the row, with its number of heads if it has one: "CSKA, 8 heads"."""
    if row.heads is None:
        return row.row
    plural = "s" if row.heads > 1 else ""
    return f"{row.row}, {row.heads} head{plural}"


def _accuracies(trials: pd.DataFrame) -> pd.DataFrame:
    """Status, epoch, seeds and top-1 of each placement."""
    rows = [
        {"placement": placement, **_accuracy(trials_of_placement)}
        for placement, trials_of_placement in trials.groupby("placement", sort=False)
    ]
    measured = ["test_top1", "test_sd", "val_top1", "ema_test_top1"]
    columns = ["placement", "candidate", "status", "epoch", "seeds", *measured]
    return pd.DataFrame(rows, columns=columns)


def _accuracy(trials: pd.DataFrame) -> dict[str, object]:
    """The numbers of one placement: from its finished trials, else from those that came furthest, never from both."""
    measured = trials[trials["top1"].notna() & (trials["status"] != "diverged")]
    shown = measured[measured["status"] == "done"]
    if shown.empty:
        shown = measured[measured["epoch"] == measured["epoch"].max()]
    return {
        "candidate": trials["candidate"].max(),
        "status": _status(trials),
        "epoch": shown["epoch"].max(),
        "seeds": len(shown),
        "test_top1": shown["test_top1"].mean(),
        "test_sd": shown["test_top1"].std(),
        "val_top1": shown["top1"].mean(),
        "ema_test_top1": shown["ema_test_top1"].astype("float64").mean(),
    }


def _status(trials: pd.DataFrame) -> str:
    """`done`, or where trials ended differently how many ended how: `2 done, 1 paused at epoch 4`."""
    is_done = trials["status"] == "done"
    with_epoch = trials["status"] + " at epoch " + trials["epoch"].astype(str)
    counts = trials["status"].where(is_done, with_epoch).value_counts(sort=False).sort_index()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{number} {status}" for status, number in counts.items())


def _comparisons(trials: pd.DataFrame, listed: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The comparison of each row with its baseline, where both have finished trials."""
    top1 = finished_top1(trials)
    baselines = {}
    for row, baseline in zip(listed["placement"], listed["baseline"], strict=True):
        if row in top1 and baseline in top1:
            baselines[row] = baseline
    diverged = set(trials["placement"][trials["status"] == "diverged"])
    rows = []
    for row, comparison in compare(top1, baselines, margin).items():
        if row in diverged or baselines[row] in diverged:
            # The seeds that did not diverge may be the better ones.
            comparison = replace(comparison, verdict="unresolved", seeds_needed=None)
        rows.append({"placement": row, **asdict(comparison)})
    return pd.DataFrame(rows, columns=["placement", *(field.name for field in fields(Comparison))])


def _verdict(row: Any) -> str:
    """The verdict of a row: that of its comparison, or a loss if it was stopped for futility."""
    if pd.isna(row.stopped_epoch):
        return str(row.verdict)
    return f"loss (stopped at epoch {row.stopped_epoch:.0f})"


def _tied_best(trials: pd.DataFrame, placements: Iterable[str], margin: float) -> list[str]:
    """The placement with the best mean, and those that are not significantly worse."""
    listed = set(placements)
    top1 = {placement: values for placement, values in finished_top1(trials).items() if placement in listed}
    if not top1:
        return []
    best = max(top1, key=lambda placement: sum(top1[placement]) / len(top1[placement]))
    comparisons = compare(top1, dict.fromkeys(top1.keys() - {best}, best), margin)
    not_worse = [placement for placement, comparison in comparisons.items() if comparison.verdict != "loss"]
    return [best, *not_worse]
