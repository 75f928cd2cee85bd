"""What one row says, and the Parquet schema of each table. Units and meanings travel in the schema's field metadata."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any, get_args, get_type_hints

import pyarrow as pa

SCHEMA_VERSION = "2"  # version 1 wrote "stopped" for what is now "paused"
ENDED = ("done", "paused", "stopped", "diverged")  # statuses of trials that a second run leaves alone
_ARROW: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("ms", tz="UTC"),
}

Seconds = Annotated[float, "seconds of wall clock"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One candidate, one recipe, one seed: what became of it, and how it came to be."""

    key: Annotated[str, "candidate, recipe, data and seed; also the name of the row's file"]
    study: str
    space: str
    candidate: Annotated[str, "canonical text, parses back"]
    backbone: str
    placement: Annotated[str, "the mixers of all stages"]
    published: Annotated[bool, "whether the paper prints this candidate"]
    recipe: str
    recipe_fingerprint: Annotated[str, "changes when any field of the recipe does"]
    data: str
    data_fingerprint: Annotated[str, "changes when any pixel or label does"]
    seed: int
    status: Annotated[str, "running, paused (may be promoted), done, stopped (will not go on), diverged or failed"] = (
        "running"
    )
    epoch: Annotated[int, "epochs completed"] = 0
    budget: Annotated[int, "epochs that the recipe runs"]
    top1: Annotated[float | None, "percent of the validation split, at the last epoch"] = None
    test_top1: Annotated[float | None, "percent of the test images, read once when the budget was spent"] = None
    seconds: Seconds = 0.0
    device: str = ""
    torch: Annotated[str, "version"] = ""
    commit: Annotated[str, "of the code, with + if it had local changes"]
    error: Annotated[str | None, "last line of the traceback of a failed trial"] = None
    number: Annotated[int | None, "order in which the study took its trials up, from 0"] = None
    code: Annotated[str | None, "changes when any module that trains does"] = None
    reused: Annotated[str | None, "the study that trained it first, if not this one"] = None
    reused_epochs: Annotated[int | None, "how many epochs that study has trained"] = None
    ranks: Annotated[int | None, "processes that trained together, on a GPU each"] = None
    micro_batch: Annotated[int | None, "images of one pass of a rank; smaller than asked for if memory was"] = None
    accumulation: Annotated[int | None, "passes of an optimizer step"] = None


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of one trial."""

    key: Annotated[str, "of the trial"]
    candidate: str
    seed: int
    epoch: Annotated[int, "completed epochs, from 1"]
    train_loss: Annotated[float | None, "nats, with label smoothing; null if not finite"]
    val_loss: Annotated[float | None, "nats; null if the epoch diverged"]
    top1: Annotated[float | None, "percent of the validation split; null if the epoch diverged"]
    lr: Annotated[float, "at the epoch's last step"]
    seconds: Seconds
    finished_at: Annotated[datetime, "UTC"]


@dataclass(frozen=True, kw_only=True)
class CostRecord:
    """What one candidate costs on one device, measured alone."""

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


def schema(record: type[Record]) -> pa.Schema:
    """The Arrow schema of a record class: its fields in order, typed, each with its note as metadata."""
    hints = get_type_hints(record, include_extras=True)
    columns: list[pa.Field] = [_column(field.name, hints[field.name]) for field in fields(record)]
    return pa.schema(columns, metadata={"schema_version": SCHEMA_VERSION})


def _column(name: str, hint: object) -> pa.Field:
    note = None
    if hasattr(hint, "__metadata__"):
        hint, note = get_args(hint)
    options = get_args(hint)
    plain: Any = next((option for option in options if option is not type(None)), hint)
    metadata = {"note": note} if note else None
    return pa.field(name, _ARROW[plain], nullable=type(None) in options, metadata=metadata)
