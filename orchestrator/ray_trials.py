"""Trials under Ray Tune: each trains in a process of its own, and its reports and failures become rows as they come.

Tune only schedules. A trial that pauses at a rung ends for Tune, and is a new one to it when it is promoted; what
survives is in our own rows and checkpoints, so Tune's own files are thrown away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from orchestrator.exit_codes import CodeChangedError
from orchestrator.gpu_placement import Placement
from orchestrator.gpu_watch import GpuWatch
from orchestrator.interrupts import Interrupts
from orchestrator.ray_cluster import Cluster
from orchestrator.stall_detector import StallDetector
from orchestrator.trial_callback import TrialCallback
from orchestrator.trial_errors import TrialErrors
from orchestrator.trial_queue import TrialQueue
from orchestrator.trial_rows import tune_result
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
    0. OSError if rows or checkpoints cannot be written, CodeChangedError if a trial's process has other code. It ends
    early if no healthy GPU is left, which it says.
    """
    interrupts = Interrupts()
    gpu_watch = GpuWatch(cluster, queue.recorder)
    searcher = TrialSearcher(queue, cluster, gpu_watch)
    errors = TrialErrors()
    callback = TrialCallback(queue, interrupts, stall_detector, errors, gpu_watch)
    with interrupts, errors:
        finished = False
        while not finished:
            try:
                _run_tune(cluster, trainable, searcher, callback)
                finished = True
            except OutOfMemoryError as error:  # it ends Tune itself, with all trials that were running
                callback.on_memory_shortage(searcher.release_all(), str(error))
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
                stop=StopOnSickGpu(callback.gpu_watch),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError as error:  # how Tune passes on what a callback raised
            if isinstance(error.__context__, OSError | CodeChangedError):
                raise error.__context__ from None
            raise
        except RuntimeError as error:  # how Tune passes on what is neither an actor's error nor a task's
            if isinstance(error.__cause__, OutOfMemoryError):
                raise error.__cause__ from None
            raise


class TuneTrial(tune.Trainable):
    """A trial in the shape that Tune runs. Ray shows its process by the trial's candidate and seed."""

    outcomes: Iterator[Placement | TrialReport | Failure]

    def setup(  # type: ignore[override]  # tune.with_parameters passes `setup`
        self, config: dict[str, TrialTask], setup: TrainingSetup
    ) -> None:
        """`config["task"]` is the trial's task; `setup` is what all trials share."""
        self.task = config["task"]
        self.outcomes = self._outcomes(setup)

    def _outcomes(self, setup: TrainingSetup) -> Iterator[Placement | TrialReport | Failure]:
        yield Placement.here()
        yield from run_trial(self.task, setup)

    def step(self) -> dict[str, Any]:
        """Say where the trial runs, the first time; then train until the next report or failure."""
        return tune_result(next(self.outcomes), self.task)

    def cleanup(self) -> None:
        """End the processes that this trial has started."""
        self.outcomes.close()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return str(self.task)


class StopOnSickGpu(Stopper):
    """Ends a trial that has begun on a GPU that is out of use, before it trains. The queue hands it out again."""

    def __init__(self, gpu_watch: GpuWatch) -> None:
        self.gpu_watch = gpu_watch

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        placement: Placement | None = result["placement"]
        return placement is not None and not self.gpu_watch.may_train_at(placement)

    def stop_all(self) -> bool:
        """Never: the searcher says when nothing is left to train."""
        return False

    def __getstate__(self) -> dict:
        return {}  # Tune pickles it for Tuner.restore, which is not used here


class TrialSearcher(Searcher):
    """Hands the queue's trials to Tune, at most as many at a time as fit on the cluster."""

    def __init__(self, queue: TrialQueue, cluster: Cluster, gpu_watch: GpuWatch) -> None:
        super().__init__(metric="top1", mode="max")
        self.queue = queue
        self.cluster = cluster
        self.gpu_watch = gpu_watch
        self.running: dict[str, TrialRecord] = {}  # by Tune's trial id

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """The next trial; None while one must end first; FINISHED when nothing, or no healthy GPU, is left."""
        if self.cluster.lacks_healthy_gpus():
            return None if self.running else Searcher.FINISHED
        if self.gpu_watch.is_blocking() and self.running:  # with no trial at all, Tune would free no GPU either
            return None
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
