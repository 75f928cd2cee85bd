"""The columns of the three tables of a study: a dataclass for a row of each, and its Parquet schema.

A field's note (unit, meaning) is stored in the schema, so that every file explains itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pyarrow as pa

SCHEMA_VERSION = "2"  # version 1 wrote "stopped" for what is now "paused"
ENDED = ("done", "paused", "stopped", "diverged")  # statuses of trials that a second run leaves alone
STATUSES = ("running", "failed", *ENDED)
MAX_EPOCHS = 100_000  # of a trial: bounds what a forged number can make us allocate; ImageNet recipes run 300

Seconds = Annotated[float, "wall-clock seconds"]
Status = Annotated[str, "running, paused (may be promoted), done, stopped (will not go on), diverged or failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial: a candidate, a recipe and a seed, how it was trained and what came of it."""

    key: Annotated[str, "candidate, recipe, data and seed as text; the name of the row's file"]
    study: str
    space: str
    candidate: Annotated[str, "text that Candidate.parse reads"]
    backbone: str
    placement: Annotated[str, "token mixers of all stages"]
    published: Annotated[bool, "whether the paper prints this candidate"]
    recipe: str
    recipe_fingerprint: Annotated[str, "changes when any field of the recipe does"]
    data: str
    data_fingerprint: Annotated[str, "changes when any pixel or label does"]
    seed: int
    status: Status = "running"
    epoch: Annotated[int, "epochs completed"] = 0
    budget: Annotated[int, "epochs that the recipe runs"]
    top1: Annotated[float | None, "percent of the validation split, after the last epoch"] = None
    test_top1: Annotated[float | None, "percent of the test images, measured once, after the budget"] = None
    seconds: Seconds = 0.0
    device: str = ""
    torch: Annotated[str, "its version"] = ""
    commit: Annotated[str, "git commit of the code, with + if there were local changes"]
    error: Annotated[str | None, "of a failed trial, one line; the traceback is in the study's errors folder"] = None
    number: Annotated[int | None, "place in the order in which the trials began, from 0"] = None
    code: Annotated[str | None, "fingerprint of the modules that train"] = None
    reused: Annotated[str | None, "the study that it was imported from"] = None
    reused_epochs: Annotated[int | None, "epochs that were imported with it"] = None
    ranks: Annotated[int | None, "processes that trained together, each on a GPU"] = None
    micro_batch: Annotated[int | None, "images of a forward pass on a rank, chosen by the device's memory"] = None
    accumulation: Annotated[int | None, "forward passes per optimizer step"] = None
    stopped_because: Annotated[str | None, "of a trial stopped for futility, one line"] = None
    forecast: Annotated[float | None, "its row's difference to the baseline at the end, percentage points"] = None
    forecast_low: Annotated[float | None, "lower end of the forecast's 95 % interval"] = None
    forecast_high: Annotated[float | None, "upper end of the forecast's 95 % interval"] = None
    forecast_p_worse: Annotated[float | None, "probability that the row ends worse by more than the margin"] = None
    ema_top1: Annotated[float | None, "as top1, with averaged weights (--ema); decides nothing"] = None
    ema_test_top1: Annotated[float | None, "as test_top1, with averaged weights (--ema); decides nothing"] = None


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of one trial."""

    key: Annotated[str, "of the trial"]
    candidate: str
    seed: int
    epoch: Annotated[int, "from 1"]
    train_loss: Annotated[float | None, "nats, with label smoothing; null if it is not finite"]
    val_loss: Annotated[float | None, "nats; null if the epoch diverged"]
    top1: Annotated[float | None, "percent of the validation split; null if the epoch diverged"]
    lr: Annotated[float, "learning rate at the last step of the epoch"]
    seconds: Seconds
    finished_at: Annotated[datetime, "UTC"]
    ema_top1: Annotated[float | None, "as top1, with averaged weights (--ema); decides nothing"] = None


@dataclass(frozen=True, kw_only=True)
class CostRecord:
    """The cost of one candidate on one device, measured while nothing else runs there."""

    key: Annotated[str, "candidate, image size and device; also the name of the row's file"]
    candidate: str
    device: str
    img_size: Annotated[int, "pixels"]
    batch_size: int
    num_params: int
    flops: Annotated[int, "per image, multiply-add 2"]
    images_per_second: Annotated[float, "inference, at batch_size"]
    train_images_per_second: Annotated[float, "forward, backward and optimizer step, at batch_size"]
    peak_memory: Annotated[int, "bytes allocated during a training step, at batch_size"]


Record = TrialRecord | EpochRecord | CostRecord
TABLES: dict[str, type[Record]] = {"trials": TrialRecord, "epochs": EpochRecord, "costs": CostRecord}


def without_forecast(record: TrialRecord) -> TrialRecord:
    """`record` as one that was not stopped for futility."""
    return replace(
        record,
        stopped_because=None,
        forecast=None,
        forecast_low=None,
        forecast_high=None,
        forecast_p_worse=None,
    )


def schema(record: type[Record]) -> pa.Schema:
    """The Arrow schema of a record class: its fields in order, typed, each with its note as metadata."""
    hints = get_type_hints(record, include_extras=True)
    columns = [_column(field.name, hints[field.name]) for field in fields(record)]
    return pa.schema(columns, metadata={"schema_version": SCHEMA_VERSION})


def _column(name: str, hint: Any) -> pa.Field:
    """The column of a field: `hint` is a type, may be `Annotated` with a note, and its type may be `T | None`."""
    metadata = None
    if get_origin(hint) is Annotated:
        hint, note = get_args(hint)
        metadata = {"note": note}
    nullable = type(None) in get_args(hint)
    if nullable:
        hint = get_args(hint)[0]
    return pa.field(name, _arrow_type(hint), nullable=nullable, metadata=metadata)


def _arrow_type(hint: type) -> pa.DataType:
    arrow_types = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime: pa.timestamp("ms", tz="UTC"),
    }
    return arrow_types[hint]
