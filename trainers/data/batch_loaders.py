"""Normalised batches of a data set for one rank, from images in memory or from images that are decoded meanwhile.

Every random draw is a function of the seed, the epoch and the images, so that epochs repeat bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.augment import draw_flips, draw_shifts, flip_images, shift_images
from trainers.data.dataset import Array, ImageDataset
from trainers.data.device_copy import DeviceCopy
from trainers.data.image_stream import BatchRequest, DecodedBatch, ImageStream
from trainers.data.in_memory import InMemoryDataset
from trainers.data.seeds import derive_seed, seed_everything
from trainers.data.splits import validation_split
from trainers.data.streamed import StreamedDataset
from trainers.data.transforms import TransformedImages, evaluation_transform, training_transform
from trainers.mixing_groups import MixingGroup, mixing_groups
from trainers.rank_context import RankContext
from trainers.recipes import Recipe

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, Mixup
from timm.data.random_erasing import RandomErasing

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
    def val_batches(self, size: int) -> Iterator[Batch]:
        """This rank's slice of the held-out images, in batches of `size`, neither augmented nor shuffled."""

    @abstractmethod
    def test_batches(self, size: int) -> Iterator[Batch]:
        """This rank's slice of the test images, in batches of `size`, neither augmented nor shuffled."""

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


def make_batch_loader(
    data: ImageDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext, workers: int = 0
) -> BatchLoader:
    """The loader for this kind of data set; `workers` processes decode streamed images, or this one if there are 0."""
    if isinstance(data, StreamedDataset):
        return StreamedLoader(data, recipe, device=device, rank_context=rank_context, workers=workers)
    assert isinstance(data, InMemoryDataset)
    return InMemoryLoader(data, recipe, device=device, rank_context=rank_context)


@dataclass(frozen=True)
class _EpochDraws:
    """Random draws of an epoch for images in memory, on the device, by step."""

    order: Tensor  # (steps, batch): indices of the images
    shifts: Tensor | None  # (steps, 2, batch, 1), see `draw_shifts`
    flips: Tensor | None  # (steps, batch, 1, 1, 1), see `draw_flips`


class InMemoryLoader(BatchLoader):
    """Batches of images that lie on the device as uint8, (n, C, H, W) in channels-last layout."""

    def __init__(
        self, data: InMemoryDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext
    ) -> None:
        super().__init__(data, recipe, device=device, rank_context=rank_context)
        self.train_images = self._put_images(data.train_images[self.train_indices])
        self.train_labels = self._put(data.train_labels[self.train_indices])
        self.val_images = self._put_images(data.train_images[self.val_indices])
        self.val_labels = self._put(data.train_labels[self.val_indices])
        self.test_images = self._put_images(data.test_images.copy())
        self.test_labels = self._put(data.test_labels.copy())

        sample = data.train_images[self.train_indices[:2000]]  # enough for the statistics of each channel
        pixels = sample.reshape(-1, data.channels)
        self._pixel_mean = self._put_statistic(pixels.mean(0))
        self._pixel_std = self._put_statistic(pixels.std(0)).clamp(min=1)
        self.mean = _from_0_to_1(self._pixel_mean)
        self.std = _from_0_to_1(self._pixel_std)

    def train_batches(self, micro_batch: int, seed: int) -> Iterator[Batch]:
        draws = self._draw_epoch(seed)
        rank = self.rank_context.rank
        seed_everything(derive_seed(seed, rank) if rank else seed)  # for drop path, which differs from rank to rank
        for step in range(self.steps):
            for group in self.groups:
                images, labels = self._augment(draws, step, slice(group.start, group.stop))
                if self.mixup is not None:
                    seed_everything(group_seed(seed, step, group))
                    images, labels = self.mixup(images, labels)
                yield from split_group(images, labels, micro_batch)

    def val_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches(self.val_images, self.val_labels, size)

    def test_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches(self.test_images, self.test_labels, size)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) as floats whose channels have mean 0 and deviation 1, channels last."""
        normalised = (images.float() - self._pixel_mean) / self._pixel_std
        return normalised.contiguous(memory_format=torch.channels_last)

    def _draw_epoch(self, seed: int) -> _EpochDraws:
        """All draws of an epoch for the whole batches of all ranks, moved to the device at once."""
        generator = torch.Generator().manual_seed(seed)  # on the CPU: it draws the same on every device and rank
        size = self.batch_size
        padding = self.recipe.crop_padding
        order = torch.randperm(len(self.train_labels), generator=generator)
        shifts = []
        flips = []
        for _ in range(self.steps):
            if padding:
                shifts.append(draw_shifts(size, padding, generator))
            if self.recipe.hflip:
                flips.append(draw_flips(size, generator))
        return _EpochDraws(
            order=self._put_draws(order[: self.steps * size].view(self.steps, size)),
            shifts=self._put_draws(torch.stack(shifts)) if shifts else None,
            flips=self._put_draws(torch.stack(flips)) if flips else None,
        )

    def _augment(self, draws: _EpochDraws, step: int, positions: slice) -> Batch:
        """The images at these positions of a step's batch, shifted, flipped and normalised, with their labels."""
        chosen = draws.order[step, positions]
        images = self.train_images[chosen]
        if draws.shifts is not None:
            images = shift_images(images, draws.shifts[step, :, positions], self.recipe.crop_padding)
        if draws.flips is not None:
            images = flip_images(images, draws.flips[step, positions])
        return self.normalise(images), self.train_labels[chosen]

    def _put_draws(self, draws: Tensor) -> Tensor:
        """The tensor on the device; training does not wait for the copy."""
        if self.device.type == "cuda":
            draws = draws.pin_memory()
        return draws.to(self.device, non_blocking=True)

    def _evaluation_batches(self, images: Tensor, labels: Tensor, size: int) -> Iterator[Batch]:
        image_batches = images[self.rank_slice].split(size)
        label_batches = labels[self.rank_slice].split(size)
        for image_batch, label_batch in zip(image_batches, label_batches, strict=True):
            yield self.normalise(image_batch), label_batch

    def _put(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _put_images(self, images_NHWC: Array) -> Tensor:
        """(n, C, H, W), still in the channels-last layout that the images were decoded in."""
        return self._put(images_NHWC).permute(0, 3, 1, 2)

    def _put_statistic(self, values: Array) -> Tensor:
        """One number for each channel, as (1, C, 1, 1)."""
        statistic = torch.tensor(values, dtype=torch.float32, device=self.device)
        return statistic.view(1, -1, 1, 1)


def _from_0_to_1(pixel_values: Tensor) -> tuple[float, ...]:
    """One number for each channel, of pixels from 0 to 1 instead of 0 to 255."""
    scaled = pixel_values.flatten() / 255
    return tuple(scaled.tolist())


class StreamedLoader(BatchLoader):
    """Batches of images that worker processes decode and timm transforms."""

    mean = IMAGENET_DEFAULT_MEAN
    std = IMAGENET_DEFAULT_STD

    def __init__(
        self, data: StreamedDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext, workers: int
    ) -> None:
        super().__init__(data, recipe, device=device, rank_context=rank_context)
        self._num_test = data.num_test
        evaluation = evaluation_transform(recipe.img_size, recipe.crop_pct)
        splits = {
            "train": TransformedImages(data.train_images, data.train_labels, training_transform(recipe)),
            "val": TransformedImages(data.train_images, data.train_labels, evaluation),
            "test": TransformedImages(data.test_images, data.test_labels, evaluation),
        }
        self._stream = ImageStream(splits, workers=workers, pin_memory=device.type == "cuda")
        self._device_copy = DeviceCopy(device, self.mean, self.std)
        self.random_erasing: RandomErasing | None = None
        if recipe.random_erasing:
            self.random_erasing = RandomErasing(recipe.random_erasing, mode="pixel", device=device)

    def train_batches(self, micro_batch: int, seed: int) -> Iterator[Batch]:
        decoded = self._stream.batches(self._draw_groups(seed))
        return self._mixed_batches(decoded, micro_batch, seed)

    def val_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches("val", self.val_indices, size)

    def test_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches("test", np.arange(self._num_test), size)

    def close(self) -> None:
        self._stream.close()

    def _mixed_batches(self, decoded: Iterator[DecodedBatch], micro_batch: int, seed: int) -> Iterator[Batch]:
        """The groups of an epoch, mixed and erased, in micro-batches."""
        for step in range(self.steps):
            for group in self.groups:
                images, labels = self._device_copy(*next(decoded))
                # Without workers, the transforms have just drawn from the generators that this seeds.
                seed_everything(group_seed(seed, step, group))
                if self.mixup is not None:
                    images, labels = self.mixup(images, labels)
                if self.random_erasing is not None:
                    images = self.random_erasing(images)
                yield from split_group(images, labels, micro_batch)

    def _draw_groups(self, seed: int) -> list[BatchRequest]:
        """The images of this rank's groups of an epoch, in random order."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.train_indices), generator=generator).numpy()
        shuffled = self.train_indices[order]
        groups = self.groups
        requests = []
        for step in range(self.steps):
            first = step * self.batch_size
            for group in groups:
                indices = shuffled[first + group.start : first + group.stop]
                requests.append(BatchRequest("train", indices, seed))
        return requests

    def _evaluation_batches(self, split: str, indices: Array, size: int) -> Iterator[Batch]:
        indices = indices[self.rank_slice]
        starts = range(0, len(indices), size)
        requests = [BatchRequest(split, indices[start : start + size]) for start in starts]
        decoded = self._stream.batches(requests)
        return (self._device_copy(images, labels) for images, labels in decoded)


def group_seed(seed: int, step: int, group: MixingGroup) -> int:
    """The seed of a group's mixing, of the erasing in it, and of drop path in the forward passes that follow."""
    return derive_seed(seed, "group", step, group.number)


def split_group(images: Tensor, labels: Tensor, micro_batch: int) -> Iterator[Batch]:
    """The group in parts of at most `micro_batch` images."""
    yield from zip(images.split(micro_batch), labels.split(micro_batch), strict=True)


def _make_mixup(recipe: Recipe, num_classes: int) -> Mixup:
    return Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=num_classes)
