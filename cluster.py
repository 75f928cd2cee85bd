"""Ray: a cluster started here or joined, what a trial gets of it, trials under Tune. For orchestrate.py alone."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {  # read by Ray when it is imported
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise a warning on every machine without a GPU
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files and fsyncs a trial that nobody reads
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Interrupts is ours
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # Jobs says how many; Tune would start the processes of trials one by one
}

import ray
from ray import tune
from ray.tune.search import Searcher

from agenda import Agenda
from results.recorder import Recorder
from results.records import TrialRecord
from searchspace.candidate import Candidate
from searchspace.own import VARIABLE
from trainers.cost import Cost, device_here, measure
from trainers.loading import decoding_speed
from trainers.recipes import Recipe
from trainers.share import Share
from trainers.streams import ImageStream
from trainers.trial import Trial

# What the raylet says of dead workers would go through the live table; the trial's line says it.
ray._private.worker._worker_logs_enabled = False

FRAME = '\n  File "'  # of a traceback: in the text of an exception, never in that of a dead process or node


class Cluster:
    """Ray, and the share of it that each trial gets. A context manager.

    ValueError if there is no cluster at the address, or no node can hold a trial.
    """

    def __init__(self, address: str | None, cpus: int | None, gpus: float | None, dashboard: bool) -> None:
        local: dict[str, Any] = {} if address else {"include_dashboard": dashboard, "dashboard_host": "127.0.0.1"}
        # Where the file of one's own mixers is, for the trials' processes; on other nodes it must lie there too.
        own = {name: os.environ[name] for name in (VARIABLE,) if name in os.environ}
        local |= {"runtime_env": {"env_vars": own}} if own else {}
        self.dashboard_url = _init(address, local).dashboard_url
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        self.workers = 0  # of each rank's loader
        self._counted, self._side_by_side = -math.inf, 1
        try:
            self.cpus, self.gpus = _cpus_and_gpus(cpus, gpus)
        except ValueError:
            ray.shutdown()
            raise

    @property
    def share(self) -> Share:
        """What a trial gets of its node: with several GPUs, a rank on each."""
        ranks = max(1, int(self.gpus))
        return Share(
            device="cuda" if self.gpus else "cpu",
            threads=max(1, self.cpus // ranks),
            ranks=ranks,
            workers=self.workers,
            memory=self.gpus if 0 < self.gpus < 1 else 1.0,
        )

    @property
    def side_by_side(self) -> int:
        """Trials that run at a time on the nodes that are there now; at least 1, which waits where no node holds it."""
        if time.monotonic() > self._counted + 1:
            number = sum(_holds(node, self.cpus, self.gpus) for node in _nodes())
            self._counted, self._side_by_side = time.monotonic(), max(1, number)
        return self._side_by_side

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        ray.shutdown()

    def __str__(self) -> str:
        total = ray.cluster_resources()
        size = f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs"
        return f"{size}, {self.cpus} CPUs and {self.gpus:g} GPUs a trial"

    def train(self, agenda: Agenda) -> int:
        """Run what the agenda says under Tune, as many trials at a time as the cluster holds, until it says no more.

        Returns the signal that interrupted the trials, or 0. OSError if a row cannot be written.
        """
        plan, recorder = agenda.plan, agenda.recorder
        trainable = tune.with_parameters(
            TuneTrial,
            data=plan.data,
            recipe=plan.recipe,
            weights=plan.weights,
            checkpoints=recorder.study.folder.absolute() / "checkpoints",
            share=self.share,
        )
        interrupts = Interrupts()
        # Tune's own files: never read.
        with tempfile.TemporaryDirectory(prefix="tune-", ignore_cleanup_errors=True) as scratch, interrupts:
            tuner = tune.Tuner(
                tune.with_resources(trainable, {"cpu": self.cpus, "gpu": self.gpus}),
                tune_config=tune.TuneConfig(
                    search_alg=Jobs(agenda, self),
                    num_samples=-1,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=scratch,
                    verbose=0,
                    callbacks=[Listener(recorder, interrupts)],
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
        return self._call(device_here, self.share)

    def measure(self, candidate: Candidate, recipe: Recipe, channels: int, num_classes: int) -> Cost:
        """The cost of a candidate in a trial's share, asked for while nothing else runs. RuntimeError if it fails."""
        return self._call(measure, candidate, recipe, channels, num_classes, self.share)

    def decoding_speed(self, data: ImageStream, recipe: Recipe) -> float:
        """Images per second that one process of a trial's node decodes. RuntimeError if it fails."""
        return self._call(decoding_speed, data, recipe)

    def _call(self, work: Any, *arguments: Any) -> Any:
        try:
            return ray.get(ray.remote(num_cpus=self.cpus, num_gpus=self.gpus)(work).remote(*arguments))
        except ray.exceptions.RayError as error:
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error


def _init(address: str | None, options: dict[str, Any]) -> Any:
    """Start Ray here or join it; ValueError in one line if it cannot be joined."""
    if not address:
        return ray.init("local", log_to_driver=False, logging_level=logging.CRITICAL, **options)
    host, _, port = address.rpartition(":")
    if address != "auto" and (not host or "/" in host or not port.isdigit()):
        raise ValueError(f"--address {address}, expected HOST:PORT or auto")
    try:
        if address != "auto":  # where nothing listens, Ray tries for minutes
            socket.create_connection((host, int(port)), timeout=5).close()
        return ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except (OSError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
        raise ValueError(f"no Ray cluster to join at {address}: {' '.join(str(error).split())[:300]}") from error


def _nodes() -> list[dict[str, float]]:
    """What each living node has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _holds(node: dict[str, float], cpus: int, gpus: float) -> int:
    """How many trials of such a share fit on the node; one that has a fraction of a GPU is never spread over two."""
    by_cpus, cards = int(node.get("CPU", 0) / cpus), int(node.get("GPU", 0))
    if not gpus:
        return by_cpus
    return min(by_cpus, cards * int(1 / gpus) if gpus < 1 else int(cards / gpus))


def _cpus_and_gpus(cpus: int | None, gpus: float | None) -> tuple[int, float]:
    """CPUs and GPUs of one trial: as asked, or one GPU where there are any and its part of its node's CPUs."""
    nodes = _nodes()
    gpus = float(any(node.get("GPU", 0) for node in nodes)) if gpus is None else gpus
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"{gpus:g} GPUs a trial, expected a fraction of one or a whole number")
    parts = [node.get("CPU", 0) * gpus / node["GPU"] for node in nodes if node.get("GPU", 0) >= gpus > 0]
    cpus = cpus or max(1, int(min(parts, default=1)))
    if not any(_holds(node, cpus, gpus) for node in nodes):
        sizes = dict.fromkeys(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise ValueError(f"a trial wants {cpus} CPUs and {gpus:g} GPUs, the nodes have {', '.join(sizes)}")
    return cpus, gpus


class TuneTrial(Trial, tune.Trainable):
    """A trial as Tune runs it, in a process of its own that Ray shows by the trial's name."""


class Jobs(Searcher):
    """The agenda as Tune asks for it. A trial that pauses at a rung ends for Tune; promoted, it is a new one to it."""

    def __init__(self, agenda: Agenda, cluster: Cluster) -> None:
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
        told = {"key": record.key, "candidate": record.candidate, "seed": record.seed, "epoch": record.epoch}
        return {"trial": {**told, "until": until}}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        self.agenda.over(self.names.pop(trial_id))

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its searchers for Tuner.restore, which is not used here

    def save(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""


class Listener(tune.Callback):
    """Hands what Tune says to the recorder, and an interrupt to Tune."""

    def __init__(self, recorder: Recorder, interrupts: Interrupts) -> None:
        self.recorder, self.interrupts = recorder, interrupts

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its callbacks for Tuner.restore, which is not used here

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        self.interrupts.pass_on()

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.recorder.started(_key(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        self.recorder.reported(_key(trial), result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.recorder.ended(_key(trial), trial.last_result)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        error = Path(trial.error_file).read_text() if trial.error_file else ""
        if FRAME in error:
            self.recorder.failed(_key(trial), error)
        else:
            why = " for want of memory" if "low on memory" in error else ""
            self.recorder.died(_key(trial), f"its process died{why}")


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
    return trial.config["trial"]["key"]
