"""Ray: a cluster started here or joined, what a trial gets of it, trials under Tune. For orchestrate.py alone."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Before Ray: it sets what Ray reads when it is imported.
from orchestrator import ray_cluster as nodes

# isort: split
import ray
from ray import tune
from ray.tune.search import Searcher

from orchestrator.stall_detector import StallDetector
from orchestrator.trial_queue import TrialQueue
from orchestrator.trial_rows import end_status, epoch_rows, trial_row, tune_result
from results.recorder import Recorder
from results.records import TrialRecord
from searchspace.candidate import Candidate
from searchspace.user_space import VARIABLE
from storage.folder import DISK_ERRORS
from trainers.cost import Cost, measure
from trainers.data.dataset import ImageDataset
from trainers.data.decoding_estimate import decoding_speed
from trainers.device import trial_device_name
from trainers.recipes import Recipe
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trial_task import Failure, TrainingSetup, TrialTask

DISK = re.compile(rf"^OSError: \[Errno ({'|'.join(map(str, DISK_ERRORS))})\] (.*)$", re.MULTILINE)
FRAME = '\n  File "'  # of a traceback: in the text of an exception, never in that of a dead process or node
EPILOGUE = "An unexpected internal error occurred while the worker was executing a task."  # below an import's traceback


class Cluster:
    """Ray, and the share of it that each trial gets. A context manager.

    ValueError if there is no cluster at the address, or no node can hold a trial.
    """

    def __init__(
        self,
        address: str | None,
        cpus: int | None,
        gpus: float | None,
        dashboard: bool,
        hang_after: float | None = None,
    ) -> None:
        local: dict[str, Any] = {} if address else {"include_dashboard": dashboard, "dashboard_host": "127.0.0.1"}
        # Where the file of one's own mixers is, for the trials' processes; on other nodes it must lie there too.
        own = {name: os.environ[name] for name in (VARIABLE,) if name in os.environ}
        local |= {"runtime_env": {"env_vars": own}} if own else {}
        self.dashboard_url = nodes.connect(address, local).dashboard_url
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        self.workers = 0  # of each rank's loader
        self.hang_after = hang_after  # minutes
        self._counted, self._number = -math.inf, 1
        try:
            self.cpus, self.gpus = nodes.cpus_and_gpus(cpus, gpus)
        except ValueError:
            ray.shutdown()
            raise

    @property
    def share(self) -> Resources:
        """What a trial gets of its node: with several GPUs, a rank on each."""
        ranks = max(1, int(self.gpus))
        return Resources(
            device="cuda" if self.gpus else "cpu",
            threads=max(1, self.cpus // ranks),
            ranks=ranks,
            workers=self.workers,
            memory_fraction=self.gpus if 0 < self.gpus < 1 else 1.0,
        )

    @property
    def side_by_side(self) -> int:
        """Trials that run at a time on the nodes that are there now; at least 1, which waits where no node holds it."""
        if time.monotonic() > self._counted + 1:
            number = sum(nodes.holds(node, self.cpus, self.gpus) for node in nodes.living())
            if self._number and not number:
                print("no node holds a trial any more: waiting for one", file=sys.stderr, flush=True)
            self._counted, self._number = time.monotonic(), number
        return max(1, self._number)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        ray.shutdown()

    def __str__(self) -> str:
        total = ray.cluster_resources()
        size = f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs"
        return f"{size}, {self.cpus} CPUs and {self.gpus:g} GPUs a trial"

    def train(self, agenda: TrialQueue) -> int:
        """Run what the agenda says under Tune, as many trials at a time as the cluster holds, until it says no more.

        Returns the signal that interrupted the trials, or 0. OSError if a row cannot be written.
        """
        plan, recorder = agenda.plan, agenda.recorder
        trainable = tune.with_parameters(
            TuneTrial,
            setup=TrainingSetup(
                recipe=plan.recipe,
                data=plan.data,
                resources=self.share,
                checkpoints=recorder.study.folder.absolute() / "checkpoints",
                weights=plan.weights,
            ),
        )
        interrupts = Interrupts()
        after = self.hang_after and self.hang_after * 60
        watch = StallDetector(after, recorder.study.epochs()["seconds"])
        # Tune's own files: never read.
        with tempfile.TemporaryDirectory(prefix="tune-", ignore_cleanup_errors=True) as scratch, interrupts:
            tuner = tune.Tuner(
                tune.with_resources(trainable, {"cpu": self.cpus, "gpu": self.gpus}),
                tune_config=tune.TuneConfig(
                    search_alg=TrialSearcher(agenda, self),
                    num_samples=-1,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=scratch,
                    verbose=0,
                    callbacks=[TrialCallback(recorder, interrupts, watch)],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            )
            try:
                tuner.fit()
            except tune.TuneError as error:  # a traceback as text
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
        return interrupts.received

    def device(self) -> str:
        """The name of the device that a trial runs on."""
        return self._call(trial_device_name, self.share)

    def measure(self, candidate: Candidate, recipe: Recipe, channels: int, num_classes: int) -> Cost:
        """The cost of a candidate in a trial's share, asked for while nothing else runs. RuntimeError if it fails."""
        return self._call(measure, candidate, recipe, channels, num_classes, self.share)

    def decoding_speed(self, data: ImageDataset, recipe: Recipe) -> float | None:
        """Images per second that one process of a trial's node decodes; None for images in memory.

        RuntimeError if an image cannot be decoded.
        """
        if not data.streamed:
            return None
        return self._call(decoding_speed, data, recipe)

    def _call(self, work: Any, *arguments: Any) -> Any:
        try:
            return ray.get(ray.remote(num_cpus=self.cpus, num_gpus=self.gpus)(work).remote(*arguments))
        except ray.exceptions.RayError as error:
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error


class TuneTrial(tune.Trainable):
    """A trial as Tune runs it, in a process of its own that Ray shows by the trial's name."""

    def setup(self, config: dict[str, TrialTask], setup: TrainingSetup) -> None:
        """`config["task"]` is the trial's task; `setup` is what all trials share."""
        self.task = config["task"]
        self.outcomes = run_trial(self.task, setup)

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        return tune_result(next(self.outcomes), self.task)

    def cleanup(self) -> None:
        """End the processes that this trial has started."""
        self.outcomes.close()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return str(self.task)


class TrialSearcher(Searcher):
    """The agenda as Tune asks for it. A trial that pauses at a rung ends for Tune; promoted, it is a new one to it."""

    def __init__(self, agenda: TrialQueue, cluster: Cluster) -> None:
        super().__init__(metric="top1", mode="max")
        self.agenda, self.cluster = agenda, cluster
        self.names: dict[str, TrialRecord] = {}  # by Tune's id

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A job, or nothing until a running one has ended: what it shows may change what is next."""
        live = len(self.names)
        if live >= self.cluster.side_by_side:
            return None
        if not (job := self.agenda.next()):
            return None if live else Searcher.FINISHED
        record, until = job
        self.names[trial_id] = record
        task = TrialTask(
            key=record.key,
            candidate=Candidate.parse(record.candidate),
            seed=record.seed,
            until=until,
            reported_epochs=record.epoch,
        )
        return {"task": task}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        self.agenda.over(self.names.pop(trial_id))

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its searchers for Tuner.restore, which is not used here

    def save(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""


class TrialCallback(tune.Callback):
    """Hands what Tune says to the recorder and the watch, and an interrupt to Tune; kills trials that hang."""

    def __init__(self, recorder: Recorder, interrupts: Interrupts, watch: StallDetector) -> None:
        self.recorder, self.interrupts, self.watch = recorder, interrupts, watch

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its callbacks for Tuner.restore, which is not used here

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        """Ten times a second, also while no trial says anything."""
        self.interrupts.pass_on()
        if hanging := self.watch.hanging(time.monotonic()):
            for trial in trials:
                if _key(trial) in hanging and (actor := trial.temporary_state.ray_actor):
                    ray.kill(actor)

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.recorder.on_start(_key(trial))
        self.watch.started(_key(trial), time.monotonic())

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if result["failure"]:
            self._fail(_key(trial), result["failure"])
            return
        report = result["report"]
        self.watch.reported(_key(trial), time.monotonic(), report.last.seconds)
        record = trial_row(self.recorder.records[_key(trial)], report)
        self.recorder.on_report(record, epoch_rows(record, report), report.note)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.watch.ended(_key(trial))
        report = trial.last_result["report"]
        if report:  # not a failure, which was recorded as it came
            self.recorder.on_end(_key(trial), end_status(report))

    def _fail(self, key: str, failure: Failure) -> None:
        if failure.kind == "disk":  # not the trial's fault: the next one would meet it too
            raise OSError(failure.errno, failure.message)
        lines = (failure.traceback or failure.message).strip().splitlines()
        self.recorder.on_failure(key, lines[-1], failure.traceback)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        error = Path(trial.error_file).read_text() if trial.error_file else ""
        if disk := DISK.search(error):  # not the trial's fault, and the next one's too
            raise OSError(int(disk[1]), disk[2])
        hang = self.watch.ended(_key(trial))
        if hang and self.watch.hopeless(_key(trial)):
            self.recorder.on_failure(_key(trial), f"{hang}, twice")
        elif hang:
            self.recorder.on_process_death(_key(trial), hang)
        elif FRAME in error:
            traceback = error.replace(EPILOGUE, "")
            message = traceback.strip().splitlines()[-1]
            self.recorder.on_failure(_key(trial), message, traceback)
        else:
            why = " for want of memory" if "low on memory" in error else ""
            self.recorder.on_process_death(_key(trial), f"its process died{why}")


class Interrupts:
    """Makes Tune stop its trials at the first Ctrl-C or SIGTERM, and ends the process at the second."""

    received = 0
    _passed_on = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_on(self) -> None:
        """Tell Tune, once, of an interrupt that came. Only from within its loop: before, nothing catches its signal."""
        if self.received and not self._passed_on:
            self._passed_on = True
            signal.raise_signal(signal.SIGUSR1)

    def _handle(self, number: int, frame: object) -> None:
        if self.received:
            if sys.stdout.isatty():
                print("\x1b[?25h", end="", flush=True)  # the live table hides the cursor
            os._exit(128 + number)
        self.received = number
        print("\nstopping the trials; once more ends at once", file=sys.stderr, flush=True)


def _key(trial: Any) -> str:
    return trial.config["task"].key
