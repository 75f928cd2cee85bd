"""What each column of each Parquet file of a report means. The notes are also stored in the files."""

from __future__ import annotations

from typing import NamedTuple

from results.statistics.power import POWER
from results.statistics.significance import ALPHA


class Column(NamedTuple):
    """A column of a result table: its pandas type and what it means."""

    type: str
    note: str


# The result tables: `table5.parquet` and the like.
TABLE: dict[str, Column] = {
    "row": Column("str", "the paper's name of the row"),
    "placement": Column("str", "the token mixers of all stages, with their switches"),
    "baseline": Column("str", "the placement that this row is compared with"),
    "status": Column("str", "not run, or how its trials ended"),
    "epoch": Column("Int64", "number of epochs after which the accuracies were measured"),
    "seeds": Column("int64", "number of trials behind the accuracies: finished ones, or if none those furthest along"),
    "test_top1": Column("float64", "top-1 of the test images in percent, mean over seeds"),
    "test_sd": Column("float64", "top-1 of the test images in percent, standard deviation over seeds"),
    "val_top1": Column("float64", "top-1 of the validation split in percent, mean over seeds"),
    "ema_test_top1": Column("float64", "test_top1 with averaged weights; missing without --ema, and decides nothing"),
    "difference": Column("float64", "test_top1 minus the baseline's, in percentage points; finished trials only"),
    "low": Column("float64", "lower end of the difference's 95 % bootstrap interval (BCa), in percentage points"),
    "high": Column("float64", "upper end of the difference's 95 % bootstrap interval (BCa), in percentage points"),
    "p_student": Column("float64", "p value of Student's t-test, two-sided, not corrected"),
    "p_welch": Column("float64", "p value of Welch's t-test, two-sided, not corrected"),
    "p_permutation": Column("float64", "p value of the permutation test, two-sided, not corrected"),
    "p": Column("float64", "p value that the verdict uses, Holm-corrected over this table"),
    "p_equivalent": Column("float64", "p value of two one-sided tests at the margin, Holm-corrected over this table"),
    "p_better": Column("float64", "probability that a seed of this row beats one of the baseline; ties count half"),
    "verdict": Column(
        "str",
        f"win, loss, equivalent or unresolved at level {ALPHA:g}, or loss (stopped at epoch E) by forecast; empty if "
        "nothing is compared",
    ),
    "seeds_needed": Column(
        "Int64", f"seeds per row that would find such a difference with {100 * POWER:.0f} % power, if at most 1,000"
    ),
    "stopped_epoch": Column("Int64", "of a row stopped for futility: the epoch of the first trial that was stopped"),
    "forecast": Column("float64", "of a stopped row: the forecast difference at the end, in percentage points"),
    "forecast_low": Column("float64", "lower end of the forecast's 95 % interval, in percentage points"),
    "forecast_high": Column("float64", "upper end of the forecast's 95 % interval, in percentage points"),
    "forecast_p_worse": Column("float64", "probability that the row ends worse by more than the margin"),
    "tied_best": Column("bool", "whether this row has the best mean or is not significantly worse"),
    "paper_top1": Column("float64", "the paper's top-1 in percent: ImageNet-1k at 224 px, epoch 160, one run"),
    "paper_says": Column("str", "the paper's words where its number is not in our sources"),
    "num_params": Column("Int64", "number of parameters"),
    "flops": Column("Int64", "floating-point operations per image; a multiply-add counts as 2"),
    "images_per_second": Column("float64", "inference speed on the device that most trials ran on"),
}

_PLACEMENT = {"placement": TABLE["placement"].note, "published": "whether the paper prints this placement"}
_INTERVAL = {"low": "lower end of the 95 % t-interval", "high": "upper end of the 95 % t-interval"}
_SEEDS = {"seeds": "number of finished trials of this placement"}
_SPEED = {"images_per_second": TABLE["images_per_second"].note}
_EFFECT = {
    **_INTERVAL,
    "p": "p value of a t-test against no effect, not corrected",
    "trials": "number of finished trials with this level",
}

# All other Parquet files: the notes of their columns, by what a file holds.
NOTES: dict[str, dict[str, str]] = {
    "head_counts": {
        "series": "mixer of the stage; its head dim follows from the number of heads, or is fixed at the backbone's",
        "heads": "number of heads of the stage",
        "mean": TABLE["test_top1"].note,
        **_PLACEMENT,
        **_INTERVAL,
        **_SEEDS,
        **_SPEED,
    },
    "head_trends": {
        "series": "as in the figure's data",
        "slope": "change of test top-1 for each doubling of the heads, in percentage points",
        "p": "p value of a t-test against a slope of zero, Holm-corrected over the series",
        "trials": "number of finished trials behind the line",
        "verdict": f"rises, falls or unresolved at level {ALPHA:g}",
        **_INTERVAL,
    },
    "learning_curves": {
        "epoch": "number of completed epochs",
        "mean": TABLE["val_top1"].note,
        "low": "the lowest seed's",
        "high": "the highest seed's",
        "seeds": "number of trials that completed this epoch",
        **_PLACEMENT,
    },
    "trade_offs": {
        "test_top1": TABLE["test_top1"].note,
        "flops": TABLE["flops"].note,
        "front_flops": "whether it is on the Pareto front of mean top-1 and FLOPs",
        "front_speed": "whether it is on the Pareto front of mean top-1 and images per second",
        **_PLACEMENT,
        **_INTERVAL,
        **_SEEDS,
        **_SPEED,
    },
    "main_effects": {
        "factor": "a stage (its mixer) or one of its switches",
        "level": "a mixer, or the value of a switch",
        "effect": "change of test top-1 against the baseline's level, other factors equal, in percentage points",
        **_EFFECT,
    },
    "interactions": {
        "factors": "a pair of stages",
        "levels": "a pair of mixers",
        "effect": "change of test top-1 beyond the sum of the two main effects, in percentage points",
        **_EFFECT,
    },
    "importance": {
        "factor": "a stage, a switch or a pair of stages",
        "share": "share of the variance of test top-1 that only this factor explains, 0 to 1",
        "p": "p value of the F-test of leaving this factor out, not corrected",
    },
}
