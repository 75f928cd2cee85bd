"""What a trial reports, epoch by epoch: alone or by several ranks, with smaller passes where memory is too little."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from searchspace.candidate import Candidate
from searchspace.user_space import load_from_environment
from storage.folder import Folder
from trainers.data.dataset import ImageDataset
from trainers.device import device_name
from trainers.rank_context import RankContext
from trainers.recipes import Recipe
from trainers.resources import Resources
from trainers.trainer import Trainer
from trainers.warm_start import Weights

MOST_DEATHS = 3  # of ranks, without an epoch between them

Result = dict[str, Any]


class RankDiedError(RuntimeError):
    """A rank's process ended without saying why."""


@dataclass(frozen=True)
class Run:
    """One trial's training, to epoch `until` at most; the rows of its first `reported` epochs are known already."""

    candidate: str
    recipe: Recipe
    data: ImageDataset
    seed: int
    folder: Folder | None
    share: Resources
    until: int
    reported: int = 0
    micro_batch: int | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        assert (self.weights is None) == (self.recipe.init is None), "rows would say what the training did not do"

    def results(self, team: RankContext | None = None, device: str | None = None) -> Iterator[Result]:
        """Each epoch as it ends, in this process. Epochs whose rows were lost come first, without training."""
        torch.set_num_threads(self.share.threads)
        if self.share.device == "cuda" and self.share.memory < 1:
            torch.cuda.set_per_process_memory_fraction(self.share.memory)
        trainer = Trainer(
            Candidate.parse(self.candidate),
            self.recipe,
            self.data,
            self.seed,
            self.folder,
            device or self.share.device,
            team,
            self.micro_batch,
            self.share.workers,
            self.weights,
        )
        epochs, reported, done = trainer.epochs(), self.reported, False
        while not done:
            if len(trainer.history) <= reported:
                next(epochs, None)
            reported = len(trainer.history)
            yield (result := _result(trainer, self.until))
            done = result["done"]


def run(task: Run) -> Iterator[Result]:
    """The results of `task`, in this process or by as many ranks as its share has.

    What does not fit into memory goes on from its checkpoint with half the micro-batch, and a dead rank's trial too,
    with the same. RankDiedError if that happens again and again.
    """
    load_from_environment()
    deaths, note = 0, None
    while True:
        try:
            for result in _once(task):
                task, deaths = replace(task, reported=result["epoch"]), 0
                yield {**result, "note": note}
                note = None
            return
        except torch.OutOfMemoryError as error:
            task, note = _smaller(task, error)
        except RankDiedError as error:
            deaths += 1
            if deaths == MOST_DEATHS:
                raise
            note = f"{error}; went on from the last checkpoint"
        gc.collect()  # what the failed one held of the device's memory
        torch.compiler.reset()  # it keeps a few versions of a model's code, of all models together


def _once(task: Run) -> Iterator[Result]:
    if task.share.ranks == 1:
        return task.results()
    from trainers.distributed import results_of_ranks

    return results_of_ranks(task)


def _smaller(task: Run, error: Exception) -> tuple[Run, str]:
    """The task with half the micro-batch; the error itself where a single image does not fit."""
    images = math.ceil(task.data.num_train * (1 - task.recipe.val_fraction))
    share = min(task.recipe.batch_size, images) // task.share.ranks
    tried = min(task.micro_batch or task.recipe.micro(task.share.device), share)
    least = 2 if task.recipe.mixes else 1
    if tried // 2 < least:
        raise error
    micro = tried // 2
    note = f"{tried} images at a time do not fit into memory: goes on with {micro} x {-(-share // micro)}"
    return replace(task, micro_batch=micro), note


def _result(trainer: Trainer, until: int) -> Result:
    last, finished = trainer.history[-1], trainer.finished
    return {
        "epoch": last.epoch,
        "top1": 0.0 if last.diverged else last.top1,  # what the rungs compare
        "diverged": last.diverged,
        "test_top1": trainer.test() if finished and not last.diverged else None,
        "history": [asdict(epoch) for epoch in trainer.history],
        "device": device_name(trainer.device),
        "torch": torch.__version__,
        "ranks": trainer.team.size,
        "micro_batch": trainer.micro_batch,
        "accumulation": len(trainer.parts),
        "finished": finished,
        "done": finished or last.epoch >= until,  # Tune's own word
    }
