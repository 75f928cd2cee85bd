"""What becomes of what Tune tells about trials: rows, retries, failures."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from orchestrator.exit_codes import CodeChangedError
from orchestrator.gpu_watch import GpuWatch
from orchestrator.interrupts import Interrupts
from orchestrator.retries import Retries
from orchestrator.stall_detector import StallDetector
from orchestrator.trial_errors import TrialErrors, failure_of
from orchestrator.trial_queue import TrialQueue
from orchestrator.trial_rows import end_status, epoch_rows, trial_row
from results.records import TrialRecord
from storage.write_error import WriteError
from trainers.trial_task import Failure, TrialReport


class TrialCallback(tune.Callback):
    """Passes what Tune tells of trials to the recorder, the stall detector and the GPU watch. Kills stalled trials."""

    def __init__(
        self,
        queue: TrialQueue,
        interrupts: Interrupts,
        stall_detector: StallDetector,
        errors: TrialErrors,
        gpu_watch: GpuWatch,
    ) -> None:
        self.queue = queue
        self.recorder = queue.recorder
        self.interrupts = interrupts
        self.stall_detector = stall_detector
        self.errors = errors
        self.gpu_watch = gpu_watch
        self.retries = Retries()

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its callbacks for Tuner.restore, which is not used here

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called about ten times a second, also while no trial reports."""
        self.interrupts.forward()
        self.gpu_watch.is_blocking()
        stalled = self.stall_detector.find_stalled(time.monotonic())
        for trial in trials:
            actor = trial.temporary_state.ray_actor
            if actor and _key(trial) in stalled:
                ray.kill(actor)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial's process has started."""
        self.recorder.on_start(_key(trial))
        self.stall_detector.on_start(_key(trial), time.monotonic())

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """The trial has begun, reported or failed. WriteError if it could not write, where others would fail too."""
        key = _key(trial)
        if result["placement"] is not None:
            self.gpu_watch.on_start(key, result["placement"])
        elif result["failure"] is not None:
            self._on_failure(key, result["failure"])
        else:
            self._on_report(key, result["report"])

    def _on_report(self, key: str, report: TrialReport) -> None:
        self.stall_detector.on_report(key, time.monotonic(), report.last.seconds)
        record = self.recorder.records[key]
        if report.epoch > record.epoch:
            self.retries.on_epoch(key)
            self.gpu_watch.on_epoch(key)
        self.recorder.on_report(trial_row(record, report), epoch_rows(record, report), report.note)

    def _on_failure(self, key: str, failure: Failure) -> None:
        """What a trial says of itself. A dead rank or loader was replaced as often as it may be, within the trial."""
        if failure.kind == "code":
            raise CodeChangedError(failure.message)
        if failure.kind == "disk":
            raise WriteError(failure.errno, failure.message) if failure.errno else WriteError(failure.message)
        if failure.kind in ("device", "io"):
            self._interrupt(key, failure)
        else:
            self.recorder.on_failure(key, error_line(failure), failure.traceback)
        if failure.kind == "device":
            self.gpu_watch.on_device_failure(key, failure)
            self.queue.let_another_go_first(self.recorder.records[key])

    def _interrupt(self, key: str, failure: Failure) -> None:
        """Let the trial go on from its newest checkpoint, or fail if that was tried too often."""
        how = failure.message + self.gpu_watch.where(key, failure)
        times = self.retries.on_interruption(key, failure.kind)
        if times:
            self.recorder.on_failure(key, f"{how}; interrupted {times} times without an epoch", failure.traceback)
        else:
            self.recorder.on_interruption(key, how)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial has ended by itself: after its last report or failure, or at once on a GPU that is out of use."""
        self.stall_detector.on_end(_key(trial))
        self.gpu_watch.on_end(_key(trial))
        report: TrialReport | None = trial.last_result["report"]
        if report is not None:
            self.recorder.on_end(_key(trial), end_status(report))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial's process is gone, or could not start."""
        key = _key(trial)
        failure = failure_of(self.errors.pop(trial.trial_id))
        stall_message = self.stall_detector.on_end(key)
        if stall_message is not None:
            failure = Failure("process died", stall_message)
        if stall_message is not None and self.stall_detector.is_given_up(key):
            self.recorder.on_failure(key, f"{stall_message}, twice")
        elif failure.kind == "process died":
            self._interrupt(key, failure)
        else:
            self.recorder.on_failure(key, error_line(failure), failure.traceback)
        self.gpu_watch.on_end(key)

    def on_memory_shortage(self, records: list[TrialRecord], message: str) -> None:
        """Ray ended a process for lack of memory, and Tune with it, and so all of these trials.

        The death counts for the trial whose process Ray names; for all of them if it names none.
        """
        keys = [record.key for record in records]
        named = [key for key in keys if self.gpu_watch.is_process_of(key, message)]
        failure = Failure("process died", "its process was killed because memory ran out", message)
        for key in named or keys:
            self._interrupt(key, failure)
        for key in keys:
            self.stall_detector.on_end(key)
            self.gpu_watch.on_end(key)


def error_line(failure: Failure) -> str:
    """The one line that a failed trial's row shows: the message, of an unexpected error with the exception's name."""
    if failure.kind in ("error", "input"):
        for line in reversed(failure.traceback.splitlines()):
            if failure.message in line:
                return line
    return failure.message


def _key(trial: Trial) -> str:
    return trial.config["task"].key
