"""Recipes: all of training but architecture and seed. No torch here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. `lr` is the peak at `batch_size`; epochs count passes over the training split; images are square.

    The schedule is timm's cosine over `epochs`, of which the first `warmup_epochs` rise linearly from `warmup_lr`, then
    `cooldown_epochs` at `min_lr`. `stop_epoch` ends training early without changing the schedule.
    """

    name: str
    backbone: str
    data: str | None  # used where the command line names none
    img_size: int  # pixels
    epochs: int
    warmup_epochs: int = 0
    cooldown_epochs: int = 0
    stop_epoch: int | None = None
    sched_on_updates: bool = False  # follow the schedule at every step, not once an epoch
    optimizer: str = "adamw"
    lr: float
    warmup_lr: float = 1e-6
    min_lr: float = 1e-5
    weight_decay: float = 0.05
    batch_size: int
    label_smoothing: float = 0.1
    drop_path: float = 0.0
    clip_grad: float | None = None  # largest gradient norm
    amp: str | None = "bfloat16"  # autocast on a GPU; a CPU always computes in fp32
    crop_padding: int = 0  # pixels of zero padding for random crops
    hflip: bool = False
    val_fraction: float = 0.1  # of the training data, held out for every decision
    first_rung: int = 1  # epochs
    rung_factor: int = 3  # one trial in so many passes a rung; also the ratio between rungs

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "img_size", "first_rung"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 < self.val_fraction < 1:
            raise ValueError(f"val_fraction is {self.val_fraction}, expected a number between 0 and 1")

    @property
    def budget(self) -> int:
        """Epochs that a trial runs if nothing stops it."""
        return self.stop_epoch or self.epochs + self.cooldown_epochs

    @property
    def rungs(self) -> list[int]:
        """Epochs at which weak trials are stopped."""
        rungs, rung = [], self.first_rung
        while rung < self.budget:
            rungs.append(rung)
            rung *= self.rung_factor
        return rungs

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change when any field does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]

    def source(self, data: str | None) -> str:
        """The data to train on: `data`, as the command line names it, or the recipe's own. ValueError if neither is."""
        if not (source := self.data if data is None else data):
            raise ValueError(
                f"recipe {self.name!r} needs --data: a folder of images or Parquet, or torch/<name>:<root>"
            )
        return source

    def cut(self, epochs: int) -> Recipe:
        """The same recipe ended after `epochs` epochs of its schedule; ValueError if it has fewer."""
        if not 1 <= epochs <= self.budget:
            raise ValueError(f"{epochs} epochs, expected 1 to {self.budget}, the budget of recipe {self.name!r}")
        return self if epochs == self.budget else replace(self, stop_epoch=epochs)


# scikit-learn's 1,797 handwritten digits, 8 x 8 upsampled to 32 x 32: shows that the whole path works, on any laptop.
# Expect 98 to 99 % test top-1 for every published placement, and no order among them.
DIGITS = Recipe(
    name="digits",
    backbone="caformer_micro",
    data="digits",
    img_size=32,
    epochs=12,
    warmup_epochs=2,
    sched_on_updates=True,
    lr=4e-3,
    batch_size=64,
    crop_padding=3,
    val_fraction=0.15,
    first_rung=2,
)

# CIFAR-10 at laptop scale: a small CAFormer for minutes instead of days.
# Expect 73 to 75 % test top-1 for every published placement; one seed a placement shows no order.
CIFAR10 = Recipe(
    name="cifar10",
    backbone="caformer_micro",
    data=None,
    img_size=32,
    epochs=8,
    warmup_epochs=1,
    sched_on_updates=True,
    lr=4e-3,
    batch_size=64,
    hflip=True,  # and no crops: they cost accuracy in so few epochs
    first_rung=1,
    rung_factor=2,
)

# The same in three epochs, so that many seeds fit into an hour: for verdicts about this scale, not for accuracy.
# Expect 65 to 69 % test top-1, and a standard deviation over seeds of about half a point.
CIFAR10_SHORT = replace(CIFAR10, name="cifar10_short", epochs=3)

# Long curves on little data, such as the first 7,500 images of CIFAR-10, with rungs at 1, 3 and 9: for studying rungs.
# A third is held out, because curves are compared on it.
CIFAR10_CURVES = replace(
    CIFAR10, name="cifar10_curves", epochs=27, warmup_epochs=2, crop_padding=3, val_fraction=1 / 3, rung_factor=3
)

RECIPES = {recipe.name: recipe for recipe in (DIGITS, CIFAR10, CIFAR10_SHORT, CIFAR10_CURVES)}
