"""Data sets that are decoded once and kept in memory as uint8 arrays, for small images. No torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainers.data.dataset import Array, ImageDataset


@dataclass(frozen=True, eq=False)
class DecodedSplit:
    """The images (n, height, width, channels) of one split as uint8, and their labels (n,) as int64."""

    images: Array
    labels: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class InMemoryDataset(ImageDataset):
    """A data set whose images are arrays (n, height, width, channels) of uint8 with 1 or 3 channels."""

    train_images: Array
    test_images: Array

    @classmethod
    def of_splits(
        cls, name: str, classes: Sequence[str], *, train: DecodedSplit, test: DecodedSplit
    ) -> InMemoryDataset:
        """A data set of two decoded splits. If one split is in colour, the other is made so too."""
        channels = max(train.images.shape[-1], test.images.shape[-1])
        return cls(
            name=name,
            classes=tuple(classes),
            train_images=_with_channels(train.images, channels),
            train_labels=train.labels,
            test_images=_with_channels(test.images, channels),
            test_labels=test.labels,
        )

    @property
    def streamed(self) -> bool:
        return False

    @property
    def channels(self) -> int:
        return self.train_images.shape[-1]

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of all pixels and labels."""
        digest = hashlib.blake2b(digest_size=4)
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _with_channels(images: Array, channels: int) -> Array:
    """Gray images repeated to that many channels; images that have them already are unchanged."""
    shape = (*images.shape[:-1], channels)
    return np.ascontiguousarray(np.broadcast_to(images, shape))
