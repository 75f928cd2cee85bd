"""Writes each epoch and each change of a trial's state as it arrives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from results.progress import Progress
from results.records import ENDED, EpochRecord, TrialRecord
from results.report.updater import ReportUpdater
from results.store import Study

MOST_DEATHS = 3  # of a trial's process, without an epoch between them


class Recorder:
    """Keeps the rows of the trials in `records` up to date, in `study`, on the screen and in the report."""

    def __init__(
        self,
        study: Study,
        records: Iterable[TrialRecord],
        progress: Progress | None = None,
        refresher: ReportUpdater | None = None,
    ) -> None:
        self.study, self.progress, self.refresher = study, progress, refresher
        self.records = {record.key: record for record in records}
        epochs = study.epochs()
        curves = {key: rows.tolist() for key, rows in epochs.groupby("key")["top1"]}
        self.curves: dict[str, list[float]] = {key: curves.get(key, []) for key in self.records}
        self.deaths: Counter[str] = Counter()

    def add(self, record: TrialRecord) -> None:
        """One more trial, the last in order."""
        number = max((other.number or 0 for other in self.records.values()), default=-1) + 1
        self.records[record.key], self.curves[record.key] = replace(record, number=number), []

    def lacking(self) -> list[TrialRecord]:
        """The trials that have not ended: failed, or interrupted."""
        return [record for record in self.records.values() if record.status not in ENDED]

    def started(self, key: str) -> None:
        """The trial has a process."""
        self._write(key, status="running", error=None)

    def reported(self, key: str, result: dict[str, Any]) -> None:
        """The trial has one more epoch; `result["history"]` holds all of them, so that a lost report is made good."""
        record, history = self.records[key], result["history"]
        if result["epoch"] > record.epoch:
            del self.deaths[key]
        self.study.write("epochs", key, [_epoch_record(record, epoch) for epoch in history])
        self.curves[key] = [epoch["top1"] for epoch in history]
        self._write(
            key,
            epoch=result["epoch"],
            top1=_finite(history[-1]["top1"]),
            test_top1=result["test_top1"],
            seconds=sum(epoch["seconds"] for epoch in history),
            device=result["device"],
            torch=result["torch"],
            ranks=result["ranks"],
            micro_batch=result["micro_batch"],
            accumulation=result["accumulation"],
        )
        if self.progress and result["note"]:
            self.progress.say(f"{record.candidate} seed {record.seed}: {result['note']}")

    def ended(self, key: str, result: dict[str, Any]) -> None:
        """The trial is over: at its budget, diverged, or else stopped at a rung, where it may be promoted."""
        self._write(key, status="diverged" if result["diverged"] else "done" if result["finished"] else "stopped")

    def settled(self, key: str, status: str) -> None:
        """What became of a trial whose run ended before it could say so."""
        self._write(key, status=status)

    def failed(self, key: str, error: str) -> None:
        """The trial raised; `error` is its traceback, which is kept beside the rows."""
        lines = error.strip().splitlines() or ["unknown error"]
        errors = self.study.folder / "errors"
        errors.make()
        errors.write(f"{key}.txt", error.encode())
        self._write(key, status="failed", error=lines[-1])

    def died(self, key: str, how: str) -> None:
        """The trial's process or node is gone; `how` it died. It goes on, unless that was tried and of no use."""
        self.deaths[key] += 1
        if self.deaths[key] == MOST_DEATHS:
            self.failed(key, f"{how} {MOST_DEATHS} times")
        elif self.progress:
            record = self.records[key]
            self.progress.say(f"{record.candidate} seed {record.seed}: {how}; goes on from epoch {record.epoch}")

    def _write(self, key: str, **changes: Any) -> None:
        self.records[key] = replace(self.records[key], **changes)
        self.study.write("trials", key, [self.records[key]])
        if self.progress:
            self.progress.update(self.records[key])
        if self.refresher:
            self.refresher.changed()


def _epoch_record(record: TrialRecord, epoch: dict[str, Any]) -> EpochRecord:
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
