"""One trial in the shape of Ray Tune's class trainables: setup, step, repr. Knows nothing of Ray."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from searchspace.candidate import Candidate
from trainers.cost import device_name
from trainers.data import ImageData
from trainers.recipes import Recipe
from trainers.training import Trainer


class Trial:
    """One candidate and seed in a process of its own; goes on from its newest checkpoint."""

    def setup(
        self, config: dict, data: ImageData, recipe: Recipe, checkpoints: Path, device: str, threads: int
    ) -> None:
        """`config["trial"]`: key, candidate, seed, how many epochs have their rows already, and until which to go."""
        torch.set_num_threads(threads)
        trial = config["trial"]
        self.name = f"{trial['candidate']} seed {trial['seed']}"
        candidate = Candidate.parse(trial["candidate"])
        self.trainer = Trainer(candidate, recipe, data, trial["seed"], checkpoints / trial["key"], device)
        self.reported, self.until = trial["epoch"], trial["until"]
        self.epochs = self.trainer.epochs()

    def step(self) -> dict[str, Any]:
        """Train one epoch, and after the last one read the test images.

        Epochs that are in the checkpoint but whose rows were lost are reported first, without training.
        """
        if len(self.trainer.history) <= self.reported:
            next(self.epochs, None)
        self.reported = len(self.trainer.history)
        last, finished = self.trainer.history[-1], self.trainer.finished
        return {
            "epoch": last.epoch,
            "top1": 0.0 if last.diverged else last.top1,  # what the rungs compare
            "diverged": last.diverged,
            "test_top1": self.trainer.test() if finished and not last.diverged else None,
            "history": [asdict(epoch) for epoch in self.trainer.history],
            "device": device_name(self.trainer.device),
            "torch": torch.__version__,
            "finished": finished,
            "done": finished or last.epoch >= self.until,  # Tune's own word
        }

    def __repr__(self) -> str:
        return self.name
