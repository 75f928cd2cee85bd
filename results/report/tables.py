"""The paper's tables filled from a study, as numbers: one row for each row of the paper."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
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
    """Status, epoch, seeds and top-1 of each placement: thousands with few trials each, too many for pandas' groups."""
    groups: dict[str, list[Any]] = {}
    for trial in trials.itertuples():
        groups.setdefault(str(trial.placement), []).append(trial)
    rows = [{"placement": placement, **_accuracy(group)} for placement, group in groups.items()]
    measured = ["test_top1", "test_sd", "val_top1", "ema_test_top1"]
    columns = ["placement", "candidate", "status", "epoch", "seeds", *measured]
    return pd.DataFrame(rows, columns=columns)


def _accuracy(trials: Sequence[Any]) -> dict[str, object]:
    """The numbers of one placement: from its finished trials, else from those that came furthest, never from both."""
    measured = [trial for trial in trials if not pd.isna(trial.top1) and trial.status != "diverged"]
    furthest = max((trial.epoch for trial in measured), default=math.nan)
    shown = [trial for trial in measured if trial.status == "done"]
    if not shown:
        shown = [trial for trial in measured if trial.epoch == furthest]
    test_top1 = _known(trial.test_top1 for trial in shown)
    return {
        "candidate": max(trial.candidate for trial in trials),
        "status": _status(trials),
        "epoch": max((trial.epoch for trial in shown), default=math.nan),
        "seeds": len(shown),
        "test_top1": _mean(test_top1),
        "test_sd": np.std(test_top1, ddof=1) if len(test_top1) > 1 else math.nan,
        "val_top1": _mean([trial.top1 for trial in shown]),
        "ema_test_top1": _mean(_known(trial.ema_test_top1 for trial in shown)),
    }


def _known(values: Iterable[Any]) -> list[float]:
    return [value for value in values if not pd.isna(value)]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _status(trials: Sequence[Any]) -> str:
    """`done`, or where trials ended differently how many ended how: `2 done, 1 paused at epoch 4`."""
    counts: Counter[str] = Counter()
    for trial in trials:
        counts[trial.status if trial.status == "done" else f"{trial.status} at epoch {trial.epoch}"] += 1
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))


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
