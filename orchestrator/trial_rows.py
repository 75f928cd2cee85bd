"""What a trial reports, as a result for Tune and as rows of the study.

Fields of the same name are copied: a new reported number needs a field in `TrialReport` or `EpochMetrics` and a
column in `TrialRecord` or `EpochRecord`, and nothing here.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from orchestrator.gpu_placement import Placement
from results.records import EpochRecord, TrialRecord
from schedulers.forecast import Forecast
from trainers.trial_task import EpochMetrics, Failure, TrialReport, TrialTask


def tune_result(outcome: Placement | TrialReport | Failure, task: TrialTask) -> dict[str, Any]:
    """The result of a step: where the trial runs (the first), a report, or a failure.

    `done` is Tune's own word for a trial that should not go on.
    """
    result = {"placement": None, "report": None, "failure": None, "top1": 0.0, "done": False}
    if isinstance(outcome, Placement):
        return {**result, "placement": outcome}
    if isinstance(outcome, Failure):
        return {**result, "failure": outcome, "done": True}
    done = outcome.finished or outcome.epoch >= task.until
    return {**result, "report": outcome, "top1": outcome.top1, "done": done}


def trial_row(record: TrialRecord, report: TrialReport) -> TrialRecord:
    """`record` with what the report says; `top1` is None if the newest epoch diverged."""
    changes = _shared_fields(report, TrialRecord)
    changes["epoch"] = report.epoch
    changes["top1"] = _finite(report.last.top1)
    changes["ema_top1"] = report.last.ema_top1
    changes["seconds"] = report.seconds
    return replace(record, **changes)


def stopped_row(record: TrialRecord, forecast: Forecast) -> TrialRecord:
    """`record`, paused at a rung, as stopped for futility with the evidence."""
    because = (
        f"at epoch {record.epoch} it was forecast to end {forecast.difference:+.1f} points "
        f"[{forecast.low:+.1f}, {forecast.high:+.1f}] from {forecast.baseline}, and with probability "
        f"{forecast.p_worse:.3f} worse than it by more than the margin ({forecast.seeds} against "
        f"{forecast.baseline_seeds} seeds)"
    )
    return replace(
        record,
        status="stopped",
        stopped_because=because,
        forecast=forecast.difference,
        forecast_low=forecast.low,
        forecast_high=forecast.high,
        forecast_p_worse=forecast.p_worse,
    )


def epoch_rows(record: TrialRecord, report: TrialReport) -> list[EpochRecord]:
    """One row for every epoch of the trial `record`; numbers that are not finite become None."""
    return [_epoch_row(record, metrics) for metrics in report.history]


def end_status(report: TrialReport) -> str:
    """The status of a trial whose last report this is. One that could go on is paused at a rung."""
    if report.diverged:
        return "diverged"
    return "done" if report.finished else "paused"


def _epoch_row(record: TrialRecord, metrics: EpochMetrics) -> EpochRecord:
    values = _shared_fields(metrics, EpochRecord)
    values["finished_at"] = datetime.fromtimestamp(metrics.finished_at, UTC)
    return EpochRecord(key=record.key, candidate=record.candidate, seed=record.seed, **values)


def _shared_fields(reported: TrialReport | EpochMetrics, row: type[TrialRecord | EpochRecord]) -> dict[str, Any]:
    """The reported fields that are columns of `row` too; floats that are not finite become None."""
    columns = {field.name for field in fields(row)}
    values = {}
    for field in fields(reported):
        if field.name in columns:
            value = getattr(reported, field.name)
            values[field.name] = _finite(value) if isinstance(value, float) else value
    return values


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
