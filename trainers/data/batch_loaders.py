"""Normalised batches of a data set, for one rank: from images in memory, or decoded as they are needed."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.augment import draw_flips, draw_shifts, flipped, shifted
from trainers.data.dataset import Array, ImageDataset
from trainers.data.in_memory import InMemoryDataset
from trainers.data.splits import validation_split
from trainers.data.streamed import ImageReader, StreamedDataset
from trainers.rank_context import RankContext
from trainers.recipes import Recipe

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, Mixup, create_transform
from timm.data.loader import PrefetchLoader, fast_collate
from timm.data.random_erasing import RandomErasing

STATISTICS_IMAGES = 2000  # training images in memory that the mean and deviation of pixels are taken from
INTERPOLATION = "bicubic"  # at evaluation; in training timm draws one of two
Batch = tuple[Tensor, Tensor]  # images (B, C, H, W) as floats, and labels (B,), or (B, classes) where images are mixed


class BatchLoader(ABC):
    """The training, validation and test images of `data` as batches. Every draw is a function of seed and epoch."""

    mean: tuple[float, ...]  # of pixels between 0 and 1
    std: tuple[float, ...]

    def __init__(self, data: ImageDataset, recipe: Recipe, device: torch.device, team: RankContext) -> None:
        self.recipe, self.device, self.team = recipe, device, team
        self.kept, self.held_out = map(np.array, validation_split(data.train_labels, recipe.val_fraction))
        least = team.size * (2 if recipe.mixes else 1)
        if len(self.kept) < least:
            raise ValueError(f"{data.name}: {len(self.kept)} images to train on, expected at least {least}")
        self.mix = _mixup(recipe, len(data.classes)) if recipe.mixes else None

    @property
    def batch_size(self) -> int:
        """Images of an optimizer step over all ranks: the recipe's, unless there are fewer."""
        number = min(self.recipe.batch_size, len(self.kept))
        even = 2 if self.mix else 1  # images are mixed in pairs
        return number - number % (even * self.team.size)

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return len(self.kept) // self.batch_size

    @abstractmethod
    def train(self, parts: list[Tensor], seed: int) -> Iterator[Batch]:
        """An epoch's micro-batches, `len(parts)` a step, which take these positions of each step's batch."""

    @abstractmethod
    def validate(self, size: int) -> Iterator[Batch]:
        """This rank's share of the held-out images."""

    @abstractmethod
    def test(self, size: int) -> Iterator[Batch]:
        """This rank's share of the test images."""

    def mixed(self, images: Tensor, labels: Tensor) -> Batch:
        """The batch with its pairs mixed, where the recipe mixes."""
        return self.mix(images, labels) if self.mix else (images, labels)


def make_batch_loader(
    data: ImageDataset, recipe: Recipe, device: torch.device, team: RankContext, workers: int = 0
) -> BatchLoader:
    """The feed for the kind of data set that `data` is; `workers` are the processes that decode."""
    if isinstance(data, StreamedDataset):
        return StreamedLoader(data, recipe, device, team, workers)
    assert isinstance(data, InMemoryDataset)
    return InMemoryLoader(data, recipe, device, team)


class InMemoryLoader(BatchLoader):
    """Images that lie on the device as uint8."""

    def __init__(self, data: InMemoryDataset, recipe: Recipe, device: torch.device, team: RankContext) -> None:
        super().__init__(data, recipe, device, team)
        self.train_images, self.train_labels = self._placed(data.train_images[self.kept], data.train_labels[self.kept])
        held_out = data.train_images[self.held_out], data.train_labels[self.held_out]
        self.val_images, self.val_labels = self._placed(*held_out)
        self.test_images, self.test_labels = self._placed(data.test_images.copy(), data.test_labels.copy())
        pixels = data.train_images[self.kept[:STATISTICS_IMAGES]].reshape(-1, data.channels)
        self._mean, self._std = self._statistic(pixels.mean(0)), self._statistic(pixels.std(0)).clamp(min=1)
        self.mean, self.std = (tuple((each.flatten() / 255).tolist()) for each in (self._mean, self._std))

    def train(self, parts: list[Tensor], seed: int) -> Iterator[Batch]:
        draw = torch.Generator().manual_seed(seed)  # the same on every device and rank
        order = torch.randperm(len(self.train_labels), generator=draw)
        padding, number = self.recipe.crop_padding, self.batch_size
        seed_everything(_drawn(seed, self.team.rank) if self.team.rank else seed)
        for step in range(self.steps):
            batch = order[step * number : (step + 1) * number]
            shifts = draw_shifts(number, padding, draw) if padding else None
            flips = draw_flips(number, draw) if self.recipe.hflip else None
            for part in parts:
                chosen = batch[part].to(self.device)
                images = self.train_images[chosen]
                images = images if shifts is None else shifted(images, shifts[:, part], padding)
                images = images if flips is None else flipped(images, flips[part])
                yield self.mixed(self.normalised(images), self.train_labels[chosen])

    def validate(self, size: int) -> Iterator[Batch]:
        return self._share(self.val_images, self.val_labels, size)

    def test(self, size: int) -> Iterator[Batch]:
        return self._share(self.test_images, self.test_labels, size)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) as floats of mean 0 and deviation 1, channels last."""
        return ((images.float() - self._mean) / self._std).contiguous(memory_format=torch.channels_last)

    def _share(self, images: Tensor, labels: Tensor, size: int) -> Iterator[Batch]:
        mine = slice(self.team.rank, None, self.team.size)
        for part, target in zip(images[mine].split(size), labels[mine].split(size), strict=True):
            yield self.normalised(part), target

    def _placed(self, images: Array, labels: Array) -> Batch:
        """In the channels-last layout that the images were decoded in."""
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2), torch.from_numpy(labels).to(self.device)

    def _statistic(self, values: Array) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device).view(1, -1, 1, 1)


class StreamedLoader(BatchLoader):
    """Images that worker processes decode and transform by timm, as many as the trial was given."""

    mean, std = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    def __init__(
        self, data: StreamedDataset, recipe: Recipe, device: torch.device, team: RankContext, workers: int
    ) -> None:
        super().__init__(data, recipe, device, team)
        self.data, self.workers = data, workers
        erase = recipe.random_erasing
        self.erase = RandomErasing(erase, mode="pixel", device=device.type) if erase else None

    def train(self, parts: list[Tensor], seed: int) -> Iterator[Batch]:
        draw, number = torch.Generator().manual_seed(seed), self.batch_size
        order = torch.randperm(len(self.kept), generator=draw).numpy()
        starts = range(0, self.steps * number, number)
        chosen = [self.kept[order[start + part.numpy()]].tolist() for start in starts for part in parts]
        decoded = TransformedImages(
            self.data.train_images, self.data.train_labels, training_transform(self.recipe), seed
        )
        for count, (images, labels) in enumerate(self._load(decoded, chosen)):
            # What decodes here and not in a worker has drawn from the same generators.
            seed_everything(_drawn(seed, "pass", count, self.team.rank))
            yield self.mixed(self.erase(images) if self.erase else images, labels)

    def validate(self, size: int) -> Iterator[Batch]:
        return self._share(self.data.train_images, self.data.train_labels, self.held_out, size)

    def test(self, size: int) -> Iterator[Batch]:
        return self._share(self.data.test_images, self.data.test_labels, np.arange(self.data.num_test), size)

    def _share(self, images: ImageReader, labels: Array, indices: Array, size: int) -> Iterator[Batch]:
        mine = indices[self.team.rank :: self.team.size]
        chosen = [mine[start : start + size].tolist() for start in range(0, len(mine), size)]
        return self._load(TransformedImages(images, labels, evaluation_transform(self.recipe)), chosen)

    def _load(self, decoded: TransformedImages, chosen: list[list[int]]) -> Iterator[Batch]:
        on_gpu = self.device.type == "cuda"
        loader = DataLoader(
            decoded, batch_sampler=chosen, num_workers=self.workers, collate_fn=fast_collate, pin_memory=on_gpu
        )
        for images, labels in PrefetchLoader(loader, self.mean, self.std, device=self.device):
            yield images.contiguous(memory_format=torch.channels_last), labels


class TransformedImages(Dataset):
    """Transformed images and labels. With a seed, an image's draws depend on it and the image's index alone."""

    def __init__(
        self, images: ImageReader, labels: Array, transform: Callable[[Image.Image], Any], seed: int | None = None
    ) -> None:
        self.images = images
        self.labels = labels
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if self.seed is not None:
            seed_everything(_drawn(self.seed, index))
        return self.transform(self.images.read(index)), int(self.labels[index])


def training_transform(recipe: Recipe) -> Callable[[Image.Image], Any]:
    """timm's, up to uint8: what follows happens on the device."""
    return create_transform(
        recipe.img_size,
        is_training=True,
        hflip=0.5 if recipe.hflip else 0.0,
        auto_augment=recipe.auto_augment,
        interpolation="random",
        use_prefetcher=True,
    )


def evaluation_transform(recipe: Recipe) -> Callable[[Image.Image], Any]:
    """timm's, up to uint8."""
    return create_transform(recipe.img_size, interpolation=INTERPOLATION, crop_pct=recipe.crop_pct, use_prefetcher=True)


def seed_everything(seed: int) -> None:
    """Seed the generators that augmentation, mixing and drop path draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _drawn(*facts: int | str) -> int:
    """A seed of its own for these facts."""
    return int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=7).digest(), "big")


def _mixup(recipe: Recipe, num_classes: int) -> Callable[[Tensor, Tensor], Batch]:
    return Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=num_classes)
