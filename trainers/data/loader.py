"""The interface of all batch loaders: normalised batches of a data set for one rank.

Every random draw is a function of the seed, the epoch and the images, so that epochs repeat bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.dataset import ImageDataset
from trainers.data.seeds import derive_seed
from trainers.data.splits import validation_split
from trainers.evaluation import PADDING
from trainers.mixing_groups import MixingGroup, mixing_groups
from trainers.rank_context import RankContext
from trainers.recipes import Recipe

from timm.data import Mixup

Batch = tuple[Tensor, Tensor]  # images (B, C, H, W) as floats; labels (B,), or (B, classes) where images are mixed


class BatchLoader(ABC):
    """The training, validation and test batches of a data set, for one rank.

    Streamed images are prepared in the order in which batches are asked for, before their iterators are consumed.
    ValueError if there are too few images to train on, or a class has too few for the validation split.
    """

    mean: tuple[float, ...]  # of each channel, for pixels from 0 to 1
    std: tuple[float, ...]

    def __init__(self, data: ImageDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext) -> None:
        self.recipe = recipe
        self.device = device
        self.rank_context = rank_context
        train_indices, val_indices = validation_split(data, recipe.val_fraction)
        self.train_indices = np.array(train_indices)
        self.val_indices = np.array(val_indices)
        self._multiple = 2 if recipe.mixes else 1  # images are mixed in pairs
        smallest_batch = self._multiple * rank_context.size
        if len(train_indices) < smallest_batch:
            raise ValueError(
                f"{data.name}: {len(train_indices)} images to train on, expected at least {smallest_batch}"
            )
        self.mixup = _make_mixup(recipe, len(data.classes)) if recipe.mixes else None

    @property
    def batch_size(self) -> int:
        """Images of an optimizer step over all ranks: the recipe's batch size, unless there are fewer images.

        Where images are mixed, it is rounded down to whole pairs.
        """
        number = min(self.recipe.batch_size, len(self.train_indices))
        return number - number % self._multiple

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch: whole batches only."""
        return len(self.train_indices) // self.batch_size

    @property
    def groups(self) -> list[MixingGroup]:
        """This rank's groups of every batch."""
        ranks = self.rank_context.size
        groups = mixing_groups(self.batch_size, self.recipe.group_size, ranks=ranks, multiple=self._multiple)
        return self.rank_context.of_rank(groups)

    @property
    def largest_group(self) -> int:
        """Images of this rank's largest group."""
        return max(len(group) for group in self.groups)

    def passes_per_step(self, micro_batch: int) -> int:
        """Forward passes of at most `micro_batch` images that this rank makes in an optimizer step."""
        return sum(group.passes(micro_batch) for group in self.groups)

    @abstractmethod
    def train_batches(self, micro_batch: int, seed: int) -> Iterator[Batch]:
        """One epoch of augmented micro-batches: `passes_per_step(micro_batch)` for each optimizer step.

        Images are augmented and mixed in groups, which do not depend on `micro_batch`.
        """

    @abstractmethod
    def val_batches(self, size: int, *, padded: bool = False) -> Iterator[Batch]:
        """This rank's slice of the held-out images, in batches of `size`, neither augmented nor shuffled.

        If `padded`, the last batch is filled up with black images whose label is PADDING.
        """

    @abstractmethod
    def test_batches(self, size: int, *, padded: bool = False) -> Iterator[Batch]:
        """This rank's slice of the test images, like `val_batches`."""

    def close(self) -> None:  # noqa: B027
        """End the loader processes, if there are any."""

    def mix(self, images: Tensor, labels: Tensor) -> Batch:
        """The batch with its images mixed in pairs where the recipe says so; otherwise unchanged."""
        if self.mixup is None:
            return images, labels
        return self.mixup(images, labels)

    @property
    def rank_slice(self) -> slice:
        """This rank's images at evaluation: every `size`-th, beginning at the rank."""
        return slice(self.rank_context.rank, None, self.rank_context.size)


def group_seed(seed: int, step: int, group: MixingGroup) -> int:
    """The seed of a group's mixing, of the erasing in it, and of drop path in the forward passes that follow."""
    return derive_seed(seed, "group", step, group.number)


def split_group(images: Tensor, labels: Tensor, micro_batch: int) -> Iterator[Batch]:
    """The group in parts of at most `micro_batch` images."""
    yield from zip(images.split(micro_batch), labels.split(micro_batch), strict=True)


def pad_batch(images: Tensor, labels: Tensor, size: int) -> Batch:
    """The batch, filled up to `size` images with zeros whose label is PADDING. A batch of that size is unchanged."""
    missing = size - len(images)
    if missing <= 0:
        return images, labels
    padding = images.new_zeros(missing, *images.shape[1:])
    padded = torch.cat([images, padding]).contiguous(memory_format=torch.channels_last)
    return padded, torch.cat([labels, labels.new_full((missing,), PADDING)])


def _make_mixup(recipe: Recipe, num_classes: int) -> Mixup:
    return Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=num_classes)
