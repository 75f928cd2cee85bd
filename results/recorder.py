"""Writes the rows of a running study: every epoch and every change of a trial's status as it arrives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from results.progress import Progress
from results.records import ENDED, EpochRecord, TrialRecord, without_forecast
from results.report.updater import ReportUpdater
from results.store import Study


class Recorder:
    """Keeps the rows of a study's trials current on disk, on the screen (`progress`) and in the report (`updater`).

    `records` and `curves` hold, by trial key, the newest row and the validation top-1 of each epoch (percent; NaN where
    the epoch diverged).
    """

    def __init__(
        self,
        study: Study,
        records: Iterable[TrialRecord],
        progress: Progress | None = None,
        updater: ReportUpdater | None = None,
    ) -> None:
        self.study = study
        self.progress = progress
        self.updater = updater
        self.records = {record.key: record for record in records}
        self.curves: dict[str, list[float]] = {key: [] for key in self.records}
        epochs = study.epochs()
        for key, top1 in zip(epochs["key"], epochs["top1"], strict=True):
            if key in self.curves:
                self.curves[key].append(top1)

    def add(self, record: TrialRecord) -> None:
        """Take in a trial that the study has not held so far, and number it after all others."""
        highest = -1
        for other in self.records.values():
            highest = max(highest, other.number or 0)
        self.records[record.key] = replace(record, number=highest + 1)
        self.curves[record.key] = []

    def unfinished(self) -> list[TrialRecord]:
        """The trials that have not ended: they failed or were interrupted."""
        return [record for record in self.records.values() if record.status not in ENDED]

    def on_start(self, key: str) -> None:
        """The trial has a process."""
        record = without_forecast(self.records[key])
        self._write(replace(record, status="running", error=None))

    def on_report(self, record: TrialRecord, epochs: Sequence[EpochRecord], note: str | None = None) -> None:
        """The trial has completed an epoch.

        `record` is its new row, `epochs` are all of its epochs, so that this report repairs an earlier one that was
        lost, and `note` is a line for the user.
        """
        self.study.write("epochs", record.key, epochs)
        curve = []
        for epoch in epochs:
            curve.append(math.nan if epoch.top1 is None else epoch.top1)
        self.curves[record.key] = curve
        self._write(record)
        if note:
            self._print(record, note)

    def on_end(self, key: str, status: str) -> None:
        """The trial has ended as `done`, `paused`, `stopped` or `diverged`."""
        record = self.records[key]
        self._write(replace(record, status=status))

    def on_stop(self, record: TrialRecord) -> None:
        """A paused trial will not go on; `record` is its new row, with the reason."""
        self._write(record)
        self._print(record, f"stopped: {record.stopped_because}")

    def on_failure(self, key: str, message: str, traceback: str = "") -> None:
        """The trial failed: `message` (one line) goes into its row, the traceback into the study's `errors/`."""
        text = traceback or message
        errors = self.study.folder / "errors"
        errors.make()
        errors.write(f"{key}.txt", text.encode())
        record = self.records[key]
        self._write(replace(record, status="failed", error=message))

    def on_interruption(self, key: str, how: str) -> None:
        """The trial was interrupted in the way `how` and resumes from its newest checkpoint."""
        record = self.records[key]
        self._print(record, f"{how}; goes on from epoch {record.epoch}")

    def announce(self, line: str) -> None:
        """Show the user a line about the whole study."""
        if self.progress:
            self.progress.print(line)

    def _write(self, record: TrialRecord) -> None:
        self.records[record.key] = record
        self.study.write("trials", record.key, [record])
        if self.progress:
            self.progress.update(record)
        if self.updater:
            self.updater.changed()

    def _print(self, record: TrialRecord, text: str) -> None:
        if self.progress:
            self.progress.print(f"{record.candidate} seed {record.seed}: {text}")
