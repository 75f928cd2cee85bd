"""The paper's tables, filled from a study, as numbers: one row for each row of the paper, with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace

import pandas as pd

from results.report.column_docs import TABLE
from results.settings import PublishedRow
from results.statistics.comparison import MARGIN, Comparison, compare


def result_table(
    trials: pd.DataFrame,
    costs: pd.DataFrame,
    rows: Sequence[PublishedRow],
    paper: pd.DataFrame,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """One row for each of `rows` (row, heads, placement, baseline), in their order; columns as in results/columns.py.

    The numbers of a row are those of its finished seeds, or where there are none those that came to the same furthest
    epoch; only finished ones are compared. What was not run is missing.
    """
    listed = pd.DataFrame(list(rows), columns=["row", "heads", "placement", "baseline"]).drop_duplicates("placement")
    listed["row"] = [_label(row, heads) for row, heads in zip(listed["row"], listed["heads"], strict=True)]
    ours = [_numbers(str(placement), group) for placement, group in trials.groupby("placement", sort=False)]
    table = listed.merge(pd.DataFrame(ours, columns=list(_numbers("", trials.iloc[:0]))), on="placement", how="left")
    table = table.merge(costs_here(trials, costs), on="candidate", how="left")
    table = table.merge(paper[["placement", "paper_top1", "paper_says"]], on="placement", how="left")
    table = table.merge(_evidence(trials, listed, margin), on="placement", how="left")
    table["tied_best"] = table["placement"].isin(_tied_best(trials, listed["placement"], margin))
    table = table.fillna({"status": "not run", "seeds": 0, "verdict": "", "paper_says": ""})
    return table[list(TABLE)].astype({name: kind for name, (kind, _) in TABLE.items()})


def main_device(trials: pd.DataFrame) -> str:
    """The device that most trials ran on; empty if none ran."""
    devices = trials["device"][trials["device"] != ""].mode()
    return "" if devices.empty else str(devices[0])


def costs_here(trials: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Candidate, num_params, flops and images_per_second on the main device, a row each."""
    columns = ["candidate", "num_params", "flops", "images_per_second"]
    return costs[costs["device"] == main_device(trials)][columns]


def finished_top1(trials: pd.DataFrame) -> dict[str, list[float]]:
    """Test top-1 of each placement's finished seeds, in the order of seeds; nothing that a rung stopped."""
    done = trials[(trials["status"] == "done") & trials["test_top1"].notna()].sort_values("seed")
    return {str(placement): group.tolist() for placement, group in done.groupby("placement")["test_top1"]}


def _label(row: str, heads: float) -> str:
    return row if pd.isna(heads) else f"{row}, {heads:g} head{'s' if heads > 1 else ''}"


def _numbers(placement: str, trials: pd.DataFrame) -> dict[str, object]:
    """What the trials of one placement say: the finished ones, else those that came furthest, never both."""
    measured = trials[trials["top1"].notna() & (trials["status"] != "diverged")]
    done = measured[measured["status"] == "done"]
    shown = measured[measured["epoch"] == measured["epoch"].max()] if done.empty else done
    return {
        "placement": placement,
        "candidate": trials["candidate"].max(),
        "status": _status(trials),
        "epoch": shown["epoch"].max(),
        "seeds": len(shown),
        "test_top1": shown["test_top1"].mean(),
        "test_sd": shown["test_top1"].std(),
        "val_top1": shown["top1"].mean(),
    }


def _status(trials: pd.DataFrame) -> str:
    """`done`, or where trials ended differently how many ended how: `2 done, 1 stopped at epoch 4`."""
    ends = trials["status"].where(
        trials["status"] == "done", trials["status"] + " at epoch " + trials["epoch"].astype(str)
    )
    counts = ends.value_counts(sort=False).sort_index()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{number} {end}" for end, number in counts.items())


def _evidence(trials: pd.DataFrame, listed: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The comparison of each row with its baseline."""
    top1 = finished_top1(trials)
    baselines = dict(zip(listed["placement"], listed["baseline"], strict=True))
    found = compare(top1, {row: base for row, base in baselines.items() if {row, base} <= top1.keys()}, margin)
    diverged = set(trials["placement"][trials["status"] == "diverged"])
    names = ["placement", *(field.name for field in fields(Comparison))]
    rows = []
    for row, comparison in found.items():
        if {row, baselines[row]} & diverged:  # the survivors alone would flatter it
            comparison = replace(comparison, verdict="unresolved", seeds_needed=None)
        rows.append({"placement": row, **asdict(comparison)})
    return pd.DataFrame(rows, columns=names)


def _tied_best(trials: pd.DataFrame, placements: Iterable[str], margin: float) -> list[str]:
    """The placement with the highest mean, and those that are not resolved from it."""
    top1 = {row: values for row, values in finished_top1(trials).items() if row in set(placements)}
    if not top1:
        return []
    best = max(top1, key=lambda row: sum(top1[row]) / len(top1[row]))
    others = compare(top1, dict.fromkeys(top1.keys() - {best}, best), margin)
    return [best, *(row for row, comparison in others.items() if comparison.verdict != "loss")]
