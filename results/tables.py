"""The paper's tables, filled from a study, as numbers: one row for each row of the paper, with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from results.evidence import ALPHA, MARGIN, POWER, Comparison, compare

_TEST = "top-1 of the test images in percent"
COLUMNS: dict[str, tuple[str, str]] = {  # type and meaning of each column
    "row": ("str", "the paper's row"),
    "placement": ("str", "the mixers of all stages"),
    "baseline": ("str", "the placement that this row is compared with"),
    "status": ("str", "not run, or how its trials ended"),
    "epoch": ("Int64", "epochs behind the numbers"),
    "seeds": ("int64", "trials behind the numbers: the finished ones, else those that came furthest"),
    "test_top1": ("float64", f"{_TEST}, mean over seeds"),
    "test_sd": ("float64", f"{_TEST}, standard deviation over seeds"),
    "val_top1": ("float64", "top-1 of the validation split in percent, mean over seeds"),
    "difference": ("float64", "test_top1 minus the baseline's, points; finished trials only"),
    "low": ("float64", "lower end of the difference's 95 % bootstrap interval (BCa), points"),
    "high": ("float64", "upper end of it"),
    "p_student": ("float64", "Student's t-test, two-sided, this row alone"),
    "p_welch": ("float64", "Welch's t-test, two-sided, this row alone"),
    "p_permutation": ("float64", "permutation test, two-sided, this row alone"),
    "p": ("float64", "what the verdict rests on, Holm-corrected over this table"),
    "p_equivalent": ("float64", "two one-sided tests within the margin, Holm-corrected over this table"),
    "p_better": ("float64", "probability that a seed of this row beats one of the baseline, ties half"),
    "verdict": ("str", f"win, loss, equivalent or unresolved at {ALPHA:g}; empty where nothing is compared"),
    "seeds_needed": (
        "Int64",
        f"seeds an arm that resolve such a difference with {100 * POWER:.0f} % power, if at most 1,000",
    ),
    "tied_best": ("bool", "the highest mean, or not resolved from it"),
    "paper_top1": ("float64", "the paper's number in percent: ImageNet-1k at 224 px, epoch 160, one run"),
    "paper_says": ("str", "the paper's words where its number is not in our sources"),
    "num_params": ("Int64", "parameters"),
    "flops": ("Int64", "per image, multiply-add 2"),
    "images_per_second": ("float64", "inference, on the device that most trials ran on"),
}
POINTS: dict[str, str] = {  # meaning of further columns, those of points and effects
    "series": "mixer of stage 2, and whether its head dim follows the number of heads or stays the backbone's",
    "heads": "heads in stage 2",
    "mean": "top-1 in percent, mean over seeds: of the test images, in learning curves of the validation split",
    "trials": "finished trials behind the row",
    "slope": "points of test top-1 for each doubling of the heads",
    "published": "whether the paper prints this placement",
    "front_flops": "whether no other mean is as high at as few FLOPs",
    "front_speed": "whether no other mean is as high at as many images per second",
    "factor": "stage (its mixer) or one of its switches, or a pair of stages",
    "factors": "a pair of stages",
    "level": "mixer or switch",
    "levels": "a pair of mixers",
    "effect": "points of test top-1 against the baseline's level, the rest equal",
    "share": "of the variance of test top-1 that is explained only with this factor, 0 to 1",
}


def result_table(
    trials: pd.DataFrame,
    costs: pd.DataFrame,
    rows: Sequence[Mapping[str, object]],
    paper: pd.DataFrame,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """One row for each of `rows` (row, heads, placement, baseline), in their order; columns as in COLUMNS.

    The numbers of a row are those of its finished seeds, or where there are none those that came to the same furthest
    epoch; only finished ones are compared. What was not run is missing.
    """
    listed = pd.DataFrame(list(rows), columns=["row", "heads", "placement", "baseline"]).drop_duplicates("placement")
    listed["row"] = [_label(row, heads) for row, heads in zip(listed["row"], listed["heads"], strict=True)]
    ours = [_numbers(str(placement), group) for placement, group in trials.groupby("placement", sort=False)]
    table = listed.merge(pd.DataFrame(ours, columns=list(_numbers("", trials.iloc[:0]))), on="placement", how="left")
    table = table.merge(_costs_of(costs, main_device(trials)), on="candidate", how="left")
    table = table.merge(paper[["placement", "paper_top1", "paper_says"]], on="placement", how="left")
    table = table.merge(_evidence(trials, listed, margin), on="placement", how="left")
    table["tied_best"] = table["placement"].isin(_tied_best(trials, listed["placement"], margin))
    table = table.fillna({"status": "not run", "seeds": 0, "verdict": "", "paper_says": ""})
    return table[list(COLUMNS)].astype({name: kind for name, (kind, _) in COLUMNS.items()})


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table as Parquet; what a column means is its field's metadata, and in pandas `DataFrame.attrs["columns"]`."""
    notes = {name: COLUMNS[name][1] if name in COLUMNS else POINTS[name] for name in map(str, table)}
    table = table.copy()
    table.attrs = {"columns": notes}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    noted = [field.with_metadata({"note": notes[field.name]}) for field in arrow.schema]
    content = pa.BufferOutputStream()
    pq.write_table(arrow.cast(pa.schema(noted, arrow.schema.metadata)), content, write_page_checksum=True)
    return content.getvalue().to_pybytes()


def main_device(trials: pd.DataFrame) -> str:
    """The device that most trials ran on; empty if none ran."""
    devices = trials["device"][trials["device"] != ""].mode()
    return "" if devices.empty else str(devices[0])


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


def _costs_of(costs: pd.DataFrame, device: str) -> pd.DataFrame:
    columns = ["candidate", "num_params", "flops", "images_per_second"]
    return costs[costs["device"] == device][columns]


def _evidence(trials: pd.DataFrame, listed: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The comparison of each row with its baseline."""
    top1 = finished_top1(trials)
    baselines = dict(zip(listed["placement"], listed["baseline"], strict=True))
    found = compare(top1, {row: base for row, base in baselines.items() if {row, base} <= top1.keys()}, margin)
    names = ["placement", *(field.name for field in fields(Comparison))]
    return pd.DataFrame([{"placement": row, **asdict(comparison)} for row, comparison in found.items()], columns=names)


def _tied_best(trials: pd.DataFrame, placements: Iterable[str], margin: float) -> list[str]:
    """The placement with the highest mean, and those that are not resolved from it."""
    top1 = {row: values for row, values in finished_top1(trials).items() if row in set(placements)}
    if not top1:
        return []
    best = max(top1, key=lambda row: sum(top1[row]) / len(top1[row]))
    others = compare(top1, dict.fromkeys(top1.keys() - {best}, best), margin)
    return [best, *(row for row, comparison in others.items() if comparison.verdict != "loss")]
