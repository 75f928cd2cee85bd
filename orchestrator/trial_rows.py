"""Turns what a trial reports into the rows of its study."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from results.records import EpochRecord, TrialRecord


def trial_row(record: TrialRecord, report: dict[str, Any]) -> TrialRecord:
    """The row of a trial after `report`."""
    history = report["history"]
    return replace(
        record,
        epoch=report["epoch"],
        top1=_finite(history[-1]["top1"]),
        test_top1=report["test_top1"],
        seconds=sum(epoch["seconds"] for epoch in history),
        device=report["device"],
        torch=report["torch"],
        ranks=report["ranks"],
        micro_batch=report["micro_batch"],
        accumulation=report["accumulation"],
    )


def epoch_rows(record: TrialRecord, report: dict[str, Any]) -> list[EpochRecord]:
    """The rows of all epochs that the trial has completed, from the first."""
    return [_epoch_row(record, epoch) for epoch in report["history"]]


def end_status(report: dict[str, Any]) -> str:
    """The status of a trial whose last report this is: diverged, done, or paused at a rung."""
    if report["diverged"]:
        return "diverged"
    return "done" if report["finished"] else "paused"


def _epoch_row(record: TrialRecord, epoch: dict[str, Any]) -> EpochRecord:
    return EpochRecord(
        key=record.key,
        candidate=record.candidate,
        seed=record.seed,
        epoch=epoch["epoch"],
        train_loss=_finite(epoch["train_loss"]),
        val_loss=_finite(epoch["val_loss"]),
        top1=_finite(epoch["top1"]),
        lr=epoch["lr"],
        seconds=epoch["seconds"],
        finished_at=datetime.fromtimestamp(epoch["finished_at"], UTC),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
