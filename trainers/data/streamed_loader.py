"""Batches of images that are decoded while a model trains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
import torch

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.dataset import Array
from trainers.data.device_copy import DeviceCopy
from trainers.data.image_stream import BatchRequest, DecodedBatch, ImageStream
from trainers.data.loader import Batch, BatchLoader, group_seed, pad_batch, split_group
from trainers.data.seeds import seed_everything
from trainers.data.streamed import StreamedDataset
from trainers.data.transforms import TransformedImages, evaluation_transform, training_transform
from trainers.rank_context import RankContext
from trainers.recipes import Recipe

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.data.random_erasing import RandomErasing


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

    def val_batches(self, size: int, *, padded: bool = False) -> Iterator[Batch]:
        return self._evaluation_batches("val", self.val_indices, size, padded=padded)

    def test_batches(self, size: int, *, padded: bool = False) -> Iterator[Batch]:
        return self._evaluation_batches("test", np.arange(self._num_test), size, padded=padded)

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

    def _evaluation_batches(self, split: str, indices: Array, size: int, *, padded: bool) -> Iterator[Batch]:
        indices = indices[self.rank_slice]
        batches = [indices[start : start + size] for start in range(0, len(indices), size)]
        requests = []
        for batch in batches:
            parts = math.ceil(len(batch) / self.recipe.group_size)
            requests.append([BatchRequest(split, part) for part in np.array_split(batch, parts)])
        decoded = self._stream.batches(list(chain.from_iterable(requests)))
        return self._join_parts(decoded, [len(parts) for parts in requests], size if padded else 0)

    def _join_parts(self, decoded: Iterator[DecodedBatch], numbers: list[int], padded_size: int) -> Iterator[Batch]:
        """Batches of several parts each: processes hand over no more than a group at a time, to save shared memory."""
        for number in numbers:
            parts = [self._device_copy(*batch) for batch in islice(decoded, number)]
            images = torch.cat([part for part, _ in parts])
            labels = torch.cat([part for _, part in parts])
            yield pad_batch(images, labels, padded_size)
