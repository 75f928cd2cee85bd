"""Recipes: all of training but architecture and seed. No torch here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import Any

CPU_SHARE = 16  # a CPU's micro-batch is this much smaller than a GPU's


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
    batch_size: int  # images of an optimizer step, however many GPUs share them
    micro_batch: int | None = None  # images of one pass through a GPU; all of its share if None
    label_smoothing: float = 0.1
    drop_path: float = 0.0
    head_dropout: float = 0.0
    mixup: float = 0.0  # alpha
    cutmix: float = 0.0  # alpha
    clip_grad: float | None = None  # largest gradient norm
    amp: str | None = "bfloat16"  # autocast on a GPU; a CPU always computes in fp32
    compile: bool = False  # on a GPU
    streamed: bool = False  # decoded as they are needed, by timm's transforms; otherwise kept in memory
    auto_augment: str | None = None  # of streamed images, timm's spelling
    random_erasing: float = 0.0  # probability, of streamed images
    crop_pct: float = 1.0  # of a streamed image that is kept at evaluation
    crop_padding: int = 0  # pixels of zero padding for random crops of images in memory
    hflip: bool = False
    init: str | None = None  # weights to begin with
    mixers_first: int = 0  # epochs in which only what those weights lack is trained
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
    def mixes(self) -> bool:
        """Whether pairs of images are mixed."""
        return bool(self.mixup or self.cutmix)

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change when any field does, but not when there is one more at its default."""
        return hashlib.sha256(json.dumps(self.choices(), sort_keys=True).encode()).hexdigest()[:8]

    def choices(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}

    def micro(self, device: str) -> int:
        """Images of one pass through a device of this kind, unless its share is smaller."""
        if not self.micro_batch:
            return self.batch_size
        return max(2, self.micro_batch if device == "cuda" else self.micro_batch // CPU_SHARE)

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

# ImageNet-1k: arXiv 2210.13452, section 4 and the training scripts of its authors, which the paper follows.
# Expect 83.4 % for CSKA in stage 2, 83.3 to 83.6 % for CAFormer-S18 (Table 2); never run by us, for want of GPUs.
# Unlike theirs: bfloat16 instead of fp16; 2 % of the training images are held out, and every decision is taken on them;
# augmentation is drawn for each image, so that neither the number of GPUs nor that of loader processes changes it.
IMAGENET = Recipe(
    name="imagenet",
    backbone="caformer_s18",
    data=None,
    img_size=224,
    epochs=300,
    warmup_epochs=20,
    cooldown_epochs=10,
    optimizer="lamb",  # which clips the gradient's norm at 1 by itself
    lr=8e-3,
    batch_size=4096,
    micro_batch=128,
    drop_path=0.15,
    mixup=0.8,
    cutmix=1.0,
    compile=True,
    streamed=True,
    auto_augment="rand-m9-mstd0.5-inc1",
    random_erasing=0.25,
    hflip=True,
    val_fraction=0.02,
    first_rung=20,  # where the warm-up ends
)

# Tables 4 and 5 and Figure 3: the same, read at epoch 160 of its 310 (section 6.3).
# Expect 76.7 to 77.8 % (Table 5); never run by us.
ABLATION = replace(IMAGENET, name="ablation", stop_epoch=160)

# CAFormer-B36 of Table 2. Expect 85.5 %, and 85.7 % for CSKA in stage 2; never run by us.
IMAGENET_B36 = replace(
    IMAGENET, name="imagenet_b36", backbone="caformer_b36", micro_batch=64, drop_path=0.6, head_dropout=0.5
)

# A warm start, for --init: what is new is trained alone for five epochs, then everything. Our own, unlike the paper's
# training from scratch; no accuracy is known to expect.
FINETUNE = replace(
    IMAGENET,
    name="finetune",
    epochs=30,
    warmup_epochs=1,
    cooldown_epochs=0,
    lr=1e-3,
    batch_size=1024,
    mixers_first=5,
    first_rung=10,
)

# The same at laptop scale: one epoch alone, at a quarter of the learning rate that would undo the weights.
# Expect 97 to 99 % test top-1 on the digits for every published placement, from the baseline's weights.
FINETUNE_MICRO = replace(DIGITS, name="finetune_micro", epochs=3, warmup_epochs=0, lr=1e-3, mixers_first=1)

MICRO = (DIGITS, CIFAR10, CIFAR10_SHORT, CIFAR10_CURVES, FINETUNE_MICRO)
RECIPES = {recipe.name: recipe for recipe in (*MICRO, ABLATION, IMAGENET, IMAGENET_B36, FINETUNE)}
