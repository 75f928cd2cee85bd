"""Normalised batches of a data set for one rank, from images in memory or from images that are decoded meanwhile.

Every random draw is a function of the seed, the epoch and the images, so that epochs repeat bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.augment import draw_flips, draw_shifts, flip_images, shift_images
from trainers.data.dataset import Array, ImageDataset
from trainers.data.in_memory import InMemoryDataset
from trainers.data.seeds import derive_seed, seed_everything
from trainers.data.splits import validation_split
from trainers.data.streamed import ImageReader, StreamedDataset
from trainers.data.transforms import TransformedImages, evaluation_transform, training_transform
from trainers.rank_context import RankContext
from trainers.recipes import Recipe

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, Mixup
from timm.data.loader import PrefetchLoader, fast_collate
from timm.data.random_erasing import RandomErasing

Batch = tuple[Tensor, Tensor]  # images (B, C, H, W) as floats; labels (B,), or (B, classes) where images are mixed


class BatchLoader(ABC):
    """The training, validation and test batches of a data set, for one rank.

    ValueError if there are too few images to train on, or a class has too few for the validation split.
    """

    mean: tuple[float, ...]  # of each channel, for pixels from 0 to 1
    std: tuple[float, ...]

    def __init__(self, data: ImageDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext) -> None:
        self.recipe = recipe
        self.device = device
        self.rank_context = rank_context
        train_indices, val_indices = validation_split(data.train_labels, recipe.val_fraction)
        self.train_indices = np.array(train_indices)
        self.val_indices = np.array(val_indices)
        smallest_batch = self._images_mixed_together * rank_context.size
        if len(train_indices) < smallest_batch:
            raise ValueError(
                f"{data.name}: {len(train_indices)} images to train on, expected at least {smallest_batch}"
            )
        self.mixup = _make_mixup(recipe, len(data.classes)) if recipe.mixes else None

    @property
    def batch_size(self) -> int:
        """Images of an optimizer step over all ranks: the recipe's batch size, unless there are fewer images.

        It is rounded down so that all ranks get equally many, and whole pairs where images are mixed.
        """
        number = min(self.recipe.batch_size, len(self.train_indices))
        divisor = self._images_mixed_together * self.rank_context.size
        return number - number % divisor

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch: whole batches only."""
        return len(self.train_indices) // self.batch_size

    @abstractmethod
    def train_batches(self, micro_batches: list[Tensor], seed: int) -> Iterator[Batch]:
        """One epoch of augmented micro-batches, `len(micro_batches)` for each optimizer step.

        Each of `micro_batches` holds the positions in a step's batch that one micro-batch of this rank consists of.
        """

    @abstractmethod
    def val_batches(self, size: int) -> Iterator[Batch]:
        """This rank's slice of the held-out images, in batches of `size`, neither augmented nor shuffled."""

    @abstractmethod
    def test_batches(self, size: int) -> Iterator[Batch]:
        """This rank's slice of the test images, in batches of `size`, neither augmented nor shuffled."""

    def mix(self, images: Tensor, labels: Tensor) -> Batch:
        """The batch with its images mixed in pairs where the recipe says so; otherwise unchanged."""
        if self.mixup is None:
            return images, labels
        return self.mixup(images, labels)

    @property
    def rank_slice(self) -> slice:
        """This rank's images at evaluation: every `size`-th, beginning at the rank."""
        return slice(self.rank_context.rank, None, self.rank_context.size)

    @property
    def _images_mixed_together(self) -> int:
        return 2 if self.recipe.mixes else 1


def make_batch_loader(
    data: ImageDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext, workers: int = 0
) -> BatchLoader:
    """The loader for this kind of data set; `workers` processes decode streamed images, or this one if there are 0."""
    if isinstance(data, StreamedDataset):
        return StreamedLoader(data, recipe, device=device, rank_context=rank_context, workers=workers)
    assert isinstance(data, InMemoryDataset)
    return InMemoryLoader(data, recipe, device=device, rank_context=rank_context)


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

    def train_batches(self, micro_batches: list[Tensor], seed: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)  # on the CPU: it draws the same on every device and rank
        order = torch.randperm(len(self.train_labels), generator=generator)
        padding = self.recipe.crop_padding
        rank = self.rank_context.rank
        seed_everything(derive_seed(seed, rank) if rank else seed)  # for drop path, which differs from rank to rank
        size = self.batch_size
        for step in range(self.steps):
            batch = order[step * size : (step + 1) * size]
            shifts = draw_shifts(size, padding, generator) if padding else None
            flips = draw_flips(size, generator) if self.recipe.hflip else None
            for positions in micro_batches:
                chosen = batch[positions].to(self.device)
                images = self.train_images[chosen]
                if shifts is not None:
                    images = shift_images(images, shifts[:, positions], padding)
                if flips is not None:
                    images = flip_images(images, flips[positions])
                labels = self.train_labels[chosen]
                yield self.mix(self.normalise(images), labels)

    def val_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches(self.val_images, self.val_labels, size)

    def test_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches(self.test_images, self.test_labels, size)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) as floats whose channels have mean 0 and deviation 1, channels last."""
        normalised = (images.float() - self._pixel_mean) / self._pixel_std
        return normalised.contiguous(memory_format=torch.channels_last)

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
        self.data = data
        self.workers = workers
        self.random_erasing: RandomErasing | None = None
        if recipe.random_erasing:
            self.random_erasing = RandomErasing(recipe.random_erasing, mode="pixel", device=device.type)

    def train_batches(self, micro_batches: list[Tensor], seed: int) -> Iterator[Batch]:
        chosen = self._draw_micro_batches(micro_batches, seed)
        transform = training_transform(self.recipe)
        transformed = TransformedImages(self.data.train_images, self.data.train_labels, transform, seed)
        for count, (images, labels) in enumerate(self._load(transformed, chosen)):
            # Without workers, the transforms have just drawn from these generators. (The word "pass" only seeds.)
            seed_everything(derive_seed(seed, "pass", count, self.rank_context.rank))
            if self.random_erasing:
                images = self.random_erasing(images)
            yield self.mix(images, labels)

    def val_batches(self, size: int) -> Iterator[Batch]:
        return self._evaluation_batches(self.data.train_images, self.data.train_labels, self.val_indices, size)

    def test_batches(self, size: int) -> Iterator[Batch]:
        indices = np.arange(self.data.num_test)
        return self._evaluation_batches(self.data.test_images, self.data.test_labels, indices, size)

    def _draw_micro_batches(self, micro_batches: list[Tensor], seed: int) -> list[list[int]]:
        """The indices of the images in each micro-batch of an epoch, in random order."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.train_indices), generator=generator).numpy()
        chosen = []
        for step in range(self.steps):
            start = step * self.batch_size
            for positions in micro_batches:
                places = order[start + positions.numpy()]
                chosen.append(self.train_indices[places].tolist())
        return chosen

    def _evaluation_batches(self, images: ImageReader, labels: Array, indices: Array, size: int) -> Iterator[Batch]:
        indices = indices[self.rank_slice]
        starts = range(0, len(indices), size)
        chosen = [indices[start : start + size].tolist() for start in starts]
        transform = evaluation_transform(self.recipe.img_size, self.recipe.crop_pct)
        return self._load(TransformedImages(images, labels, transform), chosen)

    def _load(self, images: TransformedImages, chosen: list[list[int]]) -> Iterator[Batch]:
        """The batches with these indices, normalised and on the device."""
        loader = DataLoader(
            images,
            batch_sampler=chosen,
            num_workers=self.workers,
            collate_fn=fast_collate,
            pin_memory=self.device.type == "cuda",
        )
        for normalised, labels in PrefetchLoader(loader, self.mean, self.std, device=self.device):
            yield normalised.contiguous(memory_format=torch.channels_last), labels


def _make_mixup(recipe: Recipe, num_classes: int) -> Mixup:
    return Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=num_classes)
