"""Trials under Ray Tune: each trains in a process of its own, and its reports and failures become rows as they come.

Tune only schedules. A trial that pauses at a rung ends for Tune, and is a new one to it when it is promoted; what
survives is in our own rows and checkpoints, so Tune's own files are thrown away.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from orchestrator.interrupts import Interrupts
from orchestrator.ray_cluster import Cluster
from orchestrator.stall_detector import StallDetector
from orchestrator.trial_errors import TrialErrors, failure_of
from orchestrator.trial_queue import TrialQueue
from orchestrator.trial_rows import end_status, epoch_rows, trial_row, tune_result
from results.recorder import Recorder
from results.records import TrialRecord
from searchspace.candidate import Candidate
from trainers.run_trial import run_trial
from trainers.trial_task import Failure, TrainingSetup, TrialReport, TrialTask


def make_trainable(setup: TrainingSetup) -> Any:
    """What Tune starts for each trial. The setup travels once to each node, not once per trial."""
    return tune.with_parameters(TuneTrial, setup=setup)


def train(queue: TrialQueue, cluster: Cluster, trainable: Any, stall_detector: StallDetector) -> int:
    """Train what the queue hands out, as many trials at a time as fit on the cluster, until it hands out no more.

    `trainable` runs one trial: see `make_trainable`. Returns the number of the signal that interrupted the training, or
    0. OSError if rows or checkpoints cannot be written.
    """
    interrupts = Interrupts()
    searcher = TrialSearcher(queue, cluster)
    errors = TrialErrors()
    callback = TrialCallback(queue.recorder, interrupts, stall_detector, errors)
    with interrupts, errors:
        finished = False
        while not finished:
            try:
                _run_tune(cluster, trainable, searcher, callback)
                finished = True
            except OutOfMemoryError:  # it ends Tune itself, with all trials that were running
                for record in searcher.release_all():
                    callback.on_memory_shortage(record.key)
                finished = bool(interrupts.received)
    return interrupts.received


def _run_tune(cluster: Cluster, trainable: Any, searcher: TrialSearcher, callback: TrialCallback) -> None:
    """Run Tune until the searcher is finished or an interrupt arrives."""
    resources = {"cpu": cluster.request.cpus, "gpu": cluster.request.gpus}
    with tempfile.TemporaryDirectory(prefix="tune-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                callbacks=[callback],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError as error:  # how Tune passes on what a callback raised
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        except RuntimeError as error:  # how Tune passes on what is neither an actor's error nor a task's
            if isinstance(error.__cause__, OutOfMemoryError):
                raise error.__cause__ from None
            raise


class TuneTrial(tune.Trainable):
    """A trial in the shape that Tune runs. Ray shows its process by the trial's candidate and seed."""

    outcomes: Iterator[TrialReport | Failure]

    def setup(  # type: ignore[override]  # tune.with_parameters passes `setup`
        self, config: dict[str, TrialTask], setup: TrainingSetup
    ) -> None:
        """`config["task"]` is the trial's task; `setup` is what all trials share."""
        self.task = config["task"]
        self.outcomes = run_trial(self.task, setup)

    def step(self) -> dict[str, Any]:
        """Train until the next report or failure."""
        return tune_result(next(self.outcomes), self.task)

    def cleanup(self) -> None:
        """End the processes that this trial has started."""
        self.outcomes.close()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return str(self.task)


class TrialSearcher(Searcher):
    """Hands the queue's trials to Tune, at most as many at a time as fit on the cluster."""

    def __init__(self, queue: TrialQueue, cluster: Cluster) -> None:
        super().__init__(metric="top1", mode="max")
        self.queue = queue
        self.cluster = cluster
        self.running: dict[str, TrialRecord] = {}  # by Tune's trial id

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """The next trial; None while one must end first; FINISHED when nothing is left to train."""
        if len(self.running) >= self.cluster.trials_at_a_time():
            return None
        next_trial = self.queue.next_trial()
        if next_trial is None:
            return None if self.running else Searcher.FINISHED
        record, until = next_trial
        self.running[trial_id] = record
        task = TrialTask(
            key=record.key,
            candidate=Candidate.parse(record.candidate),
            seed=record.seed,
            until=until,
            reported_epochs=record.epoch,
        )
        return {"task": task}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The trial's process has ended, in whatever way."""
        self.queue.on_trial_end(self.running.pop(trial_id))

    def release_all(self) -> list[TrialRecord]:
        """Give back all running trials, whose processes Tune has ended; the queue will hand them out again."""
        records = list(self.running.values())
        for trial_id in list(self.running):
            self.on_trial_complete(trial_id)
        return records

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its searchers for Tuner.restore, which is not used here

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: Tuner.restore is not used here."""


class TrialCallback(tune.Callback):
    """Passes what Tune tells of trials to the recorder and the stall detector. Kills stalled trials."""

    def __init__(
        self, recorder: Recorder, interrupts: Interrupts, stall_detector: StallDetector, errors: TrialErrors
    ) -> None:
        self.recorder = recorder
        self.interrupts = interrupts
        self.stall_detector = stall_detector
        self.errors = errors

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its callbacks for Tuner.restore, which is not used here

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called about ten times a second, also while no trial reports."""
        self.interrupts.forward()
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
        """The trial has reported or failed. OSError if it could not write to the disk, where others would fail too."""
        key = _key(trial)
        failure: Failure | None = result["failure"]
        if failure is None:
            self._on_report(key, result["report"])
        elif failure.kind == "disk":
            raise OSError(failure.errno, failure.message)
        else:
            self.recorder.on_failure(key, error_line(failure), failure.traceback)

    def _on_report(self, key: str, report: TrialReport) -> None:
        self.stall_detector.on_report(key, time.monotonic(), report.last.seconds)
        record = self.recorder.records[key]
        self.recorder.on_report(trial_row(record, report), epoch_rows(record, report), report.note)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial has ended by itself: after its last report, or after a failure that is recorded already."""
        self.stall_detector.on_end(_key(trial))
        report: TrialReport | None = trial.last_result["report"]
        if report is not None:
            self.recorder.on_end(_key(trial), end_status(report))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial's process is gone, or could not start."""
        key = _key(trial)
        failure = failure_of(self.errors.pop(trial.trial_id))
        stall_message = self.stall_detector.on_end(key)
        if stall_message is not None:
            self._on_stall(key, stall_message)
            return
        if failure.kind == "error":
            self.recorder.on_failure(key, error_line(failure), failure.traceback)
        else:
            self.recorder.on_process_death(key, failure.message, failure.traceback)

    def _on_stall(self, key: str, message: str) -> None:
        if self.stall_detector.is_given_up(key):
            self.recorder.on_failure(key, f"{message}, twice")
        else:
            self.recorder.on_process_death(key, message)

    def on_memory_shortage(self, key: str) -> None:
        """Ray ended a running trial for lack of memory, and Tune with it; this trial was running too."""
        self.stall_detector.on_end(key)
        self.recorder.on_process_death(key, "its process was killed because memory ran out")


def error_line(failure: Failure) -> str:
    """The one line that a failed trial's row shows: the last of its traceback, or the message if there is none."""
    lines = failure.traceback.strip().splitlines()
    return lines[-1] if lines else failure.message


def _key(trial: Trial) -> str:
    return trial.config["task"].key
