"""How large the models and batches of the checks are: for a GPU, or so small that a CPU runs them in tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from searchspace.candidate import Candidate
from trainers.data.in_memory import InMemoryDataset
from trainers.recipes import DIGITS, Recipe
from trainers.resources import Resources
from trainers.trainer import Trainer
from trainers.trial_task import TrainingSetup

# Stage 2, where the paper puts static keys; 16 channels a head for CSKA, as in the authors' code.
PLACEMENTS = {
    "baseline": "dwconv-dwconv-attn-attn",
    "SKA": "dwconv-ska-attn-attn",
    "CSKA": "dwconv-cska{heads}-attn-attn",
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of the checks. `seconds` is how long each speed is measured; `trials` run side by side."""

    backbone: str
    img_size: int  # pixels
    batch_size: int  # of speed measurements
    small_batch: int  # of the checks of correctness
    steps: int
    seconds: float
    trials: tuple[int, ...]

    def candidate(self, name: str) -> Candidate:
        """The candidate of a name in PLACEMENTS."""
        heads = ".h8" if self.backbone == "caformer_s18" else ""
        return Candidate.parse(f"{self.backbone}-{PLACEMENTS[name].format(heads=heads)}")

    def recipe(self, **changes: object) -> Recipe:
        """A recipe of this size for images in memory, with `changes` to its fields."""
        recipe = replace(
            DIGITS,
            backbone=self.backbone,
            img_size=self.img_size,
            batch_size=self.small_batch,
            lr=5e-4,
            crop_padding=0,
        )
        return replace(recipe, **changes)  # type: ignore[arg-type]


ON_GPU = Scale(
    backbone="caformer_s18",
    img_size=224,
    batch_size=128,
    small_batch=32,
    steps=50,
    seconds=3.0,
    trials=(1, 4, 8),
)
SMALL = Scale(
    backbone="caformer_micro",
    img_size=16,
    batch_size=8,
    small_batch=8,
    steps=20,
    seconds=0.05,
    trials=(1, 2),
)


def two_classes(recipe: Recipe, batches: int) -> InMemoryDataset:
    """Dark and bright noise, so many batches of it for training; a few steps tell the classes apart."""
    number = int(batches * recipe.batch_size / (1 - recipe.val_fraction)) + 8
    labels = np.arange(number, dtype=np.int64) % 2
    shape = (number, recipe.img_size, recipe.img_size, 3)
    images = np.random.default_rng(0).integers(0, 128, shape, dtype=np.uint8)
    images[labels == 1] += 100
    return InMemoryDataset(
        name="two classes",
        classes=("dark", "bright"),
        train_images=images,
        train_labels=labels,
        test_images=images[:8],
        test_labels=labels[:8],
    )


def make_setup(recipe: Recipe, device: torch.device, *, batches: int, trials_per_gpu: int = 1) -> TrainingSetup:
    """The setup of a trial on `device` that saves nothing."""
    resources = Resources(device=device.type, threads=torch.get_num_threads(), trials_per_gpu=trials_per_gpu)
    return TrainingSetup(recipe=recipe, data=two_classes(recipe, batches), resources=resources, checkpoints=None)


def make_trainer(candidate: Candidate, recipe: Recipe, device: torch.device, *, batches: int) -> Trainer:
    """A trainer with seed 0 on `device` that saves nothing."""
    return Trainer(candidate=candidate, seed=0, setup=make_setup(recipe, device, batches=batches))
