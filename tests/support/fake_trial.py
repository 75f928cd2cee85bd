"""A trial that counts epochs instead of training them, for tests that run real Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zlib import crc32

import ray
from ray import tune

from orchestrator.gpu_placement import Placement
from orchestrator.trial_rows import tune_result
from tests.support.reports import make_report
from trainers.trial_task import Failure, TrialTask


@dataclass(frozen=True, kw_only=True)
class FakeBehaviour:
    """What fake trials do. In `folder` each trial keeps its number of epochs, as real ones keep checkpoints."""

    folder: Path
    budget: int  # epochs of a whole trial
    epoch_seconds: float
    stalls: Mapping[str, Literal["once", "always"]] = field(default_factory=dict)  # by candidate, in its second epoch
    sick_gpus: Collection[str] = ()  # on these, every trial fails at the end of its first epoch there
    ends: Mapping[str, float] = field(default_factory=dict)  # by candidate: the top-1 at which its curve flattens out


class BegunEpoch(NamedTuple):
    """An epoch that a fake trial began to train, and where."""

    key: str
    candidate: str
    epoch: int
    node: str
    process: int
    gpus: str  # their indices


class FakeTrial(tune.Trainable):
    """Continues from its kept epochs; those that were never reported come first, without training."""

    def setup(self, config: dict[str, TrialTask], behaviour: FakeBehaviour) -> None:  # type: ignore[override]
        self.task = config["task"]
        self.behaviour = behaviour
        self.node = ray.get_runtime_context().get_node_id()
        self.placement: Placement | None = None
        self.file = behaviour.folder / self.task.key
        self.epoch = self.task.reported_epochs

    def step(self) -> dict[str, Any]:
        if self.placement is None:
            self.placement = Placement.here()
            return tune_result(self.placement, self.task)
        kept_epochs = int(self.file.read_text()) if self.file.exists() else 0
        self.epoch += 1
        if self.epoch > kept_epochs:
            self._train()
            for rank, gpu in enumerate(self.placement.gpus):
                if gpu.index in self.behaviour.sick_gpus:
                    error = Failure("device", "CUDA error: uncorrectable ECC error encountered", rank=rank)
                    return tune_result(error, self.task)
            self._keep()
        top1s = [self._top1(epoch) for epoch in range(1, self.epoch + 1)]
        finished = self.epoch == self.behaviour.budget
        report = make_report(top1s, epoch_seconds=self.behaviour.epoch_seconds, device=self.node, finished=finished)
        return tune_result(report, self.task)

    def _top1(self, epoch: int) -> float:
        """The top-1 after an epoch: it rises evenly, or flattens out at the end that the behaviour names."""
        end = self.behaviour.ends.get(str(self.task.candidate))
        if end is not None:
            return end * (1 - 1 / epoch**2)
        return 40 + crc32(str(self.task.candidate).encode()) % 2000 / 100 + 2 * epoch

    def _train(self) -> None:
        assert self.placement is not None
        gpus = ",".join(gpu.index for gpu in self.placement.gpus)
        with (self.behaviour.folder / "log").open("a") as log:
            log.write(f"{self.task.key} {self.task.candidate} {self.epoch} {self.node} {os.getpid()} {gpus}\n")
        if self.epoch == 2:
            self._stall()
        time.sleep(self.behaviour.epoch_seconds)

    def _keep(self) -> None:
        part = self.file.with_name(f"{self.file.name}.part")
        part.write_text(str(self.epoch))
        part.replace(self.file)

    def _stall(self) -> None:
        how = self.behaviour.stalls.get(str(self.task.candidate))
        mark = self.file.with_name(f"{self.file.name}.stalled")
        if how == "always" or (how == "once" and not mark.exists()):
            mark.touch()
            time.sleep(300)


def make_fake_trainable(behaviour: FakeBehaviour) -> Any:
    """What takes the place of `ray_trials.make_trainable(setup)`."""
    return tune.with_parameters(FakeTrial, behaviour=behaviour)


def fake_the_training(behaviour: FakeBehaviour) -> None:
    """Let this process train fake trials and measure no costs."""
    from orchestrator import ray_trials, study_run  # they import torch, which the processes of fake trials do without

    ray_trials.make_trainable = lambda setup: make_fake_trainable(behaviour)
    study_run.measure_costs = lambda plan, cluster, candidates: []


def begun_epochs(folder: Path) -> list[BegunEpoch]:
    """The epochs that the fake trials of a folder began to train, in order."""
    log = folder / "log"
    if not log.exists():
        return []
    lines = [line.split(" ") for line in log.read_text().splitlines()]
    return [BegunEpoch(key, name, int(epoch), node, int(pid), gpus) for key, name, epoch, node, pid, gpus in lines]
