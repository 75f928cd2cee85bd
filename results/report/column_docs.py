"""What each column of each Parquet file of a report means, and writing them with it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from results.statistics.comparison import ALPHA, POWER

_TEST = "top-1 of the test images in percent"
TABLE: dict[str, tuple[str, str]] = {  # type and meaning of each column
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
_INTERVAL = {"low": "lower end of the 95 % t-interval", "high": "upper end of it"}
_PLACE = {"placement": TABLE["placement"][1], "published": "whether the paper prints this placement"}
_SPEED = {"images_per_second": TABLE["images_per_second"][1]}
_SEEDS = {"seeds": "finished trials of this placement"}
_EFFECT = {**_INTERVAL, "p": "of a t-test against no effect, this row alone", "trials": "finished trials at this level"}
NOTES: dict[str, dict[str, str]] = {  # of what is no table of the paper, by file
    "head_counts": {
        "series": "mixer of the stage, and whether its head dim follows the number of heads or stays the backbone's",
        "heads": "heads of that stage",
        "mean": f"{_TEST}, mean over seeds",
        **_PLACE,
        **_INTERVAL,
        **_SEEDS,
        **_SPEED,
    },
    "head_trends": {
        "series": "as in the points of the figure",
        "slope": "points of test top-1 for each doubling of the heads",
        "p": "that the slope is zero, Holm-corrected over the series",
        "trials": "finished trials behind the line",
        "verdict": f"rises, falls or unresolved at {ALPHA:g}",
        **_INTERVAL,
    },
    "learning_curves": {
        "epoch": "completed epochs",
        "mean": "top-1 of the validation split in percent, mean over seeds",
        "low": "of the lowest seed",
        "high": "of the highest seed",
        "seeds": "trials that came to this epoch",
        **_PLACE,
    },
    "trade_offs": {
        "test_top1": TABLE["test_top1"][1],
        "flops": TABLE["flops"][1],
        "front_flops": "whether no other mean is as high at as few FLOPs",
        "front_speed": "whether no other mean is as high at as many images per second",
        **_PLACE,
        **_INTERVAL,
        **_SEEDS,
        **_SPEED,
    },
    "main_effects": {
        "factor": "a stage (its mixer) or one of its switches",
        "level": "mixer or switch",
        "effect": "points of test top-1 against the baseline's level, the rest equal",
        **_EFFECT,
    },
    "interactions": {
        "factors": "a pair of stages",
        "levels": "a pair of mixers",
        "effect": "points of test top-1 beyond the sum of the two main effects",
        **_EFFECT,
    },
    "importance": {
        "factor": "a stage, a switch or a pair of stages",
        "share": "of the variance of test top-1 that is explained only with this factor, 0 to 1",
        "p": "of the F-test of dropping it, this row alone",
    },
}


def to_parquet(table: pd.DataFrame, notes: Mapping[str, str]) -> bytes:
    """The table as Parquet; what a column means is its field's metadata, and in pandas `DataFrame.attrs["columns"]`."""
    table = table.copy()
    table.attrs = {"columns": {str(name): notes[str(name)] for name in table}}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    noted = [field.with_metadata({"note": notes[field.name]}) for field in arrow.schema]
    content = pa.BufferOutputStream()
    pq.write_table(arrow.cast(pa.schema(noted, arrow.schema.metadata)), content, write_page_checksum=True)
    return content.getvalue().to_pybytes()
