"""The interface of all data sets: labelled images to train and to test on. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from trainers.names import is_name

Array = np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageDataset(ABC):
    """Images with labels (n,) as int64, for training (validation included) and for testing, and the class names.

    ValueError if a split is empty, a label has no class, there are fewer than two classes, or a name has control
    characters, with which a checkpoint could not be read.
    """

    name: str
    classes: tuple[str, ...]
    train_labels: Array
    test_labels: Array

    def __post_init__(self) -> None:
        self._check_labels("training", self.train_labels)
        self._check_labels("test", self.test_labels)
        if len(self.classes) < 2:
            raise ValueError(f"{self.name}: {len(self.classes)} class, expected 2 or more")
        for name in (self.name, *self.classes):
            if not is_name(name):
                raise ValueError(f"data or class name {name!r}, expected UTF-8 text without control characters")

    @property
    @abstractmethod
    def streamed(self) -> bool:
        """Whether images are decoded each time they are needed; otherwise they lie decoded in memory."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 for gray images, 3 for colour."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that differ between data sets of different content."""

    @property
    def num_train(self) -> int:
        """The number of images to train and validate on."""
        return len(self.train_labels)

    @property
    def num_test(self) -> int:
        """The number of images to test on."""
        return len(self.test_labels)

    def _check_labels(self, split: str, labels: Array) -> None:
        if not len(labels):
            raise ValueError(f"{self.name}: no {split} images")
        lowest = labels.min()
        highest = labels.max()
        if lowest < 0 or highest >= len(self.classes):
            last = len(self.classes) - 1
            raise ValueError(f"{self.name}: {split} labels {lowest} to {highest}, expected 0 to {last}")


def numbered_classes(train_labels: Array) -> tuple[str, ...]:
    """Class names `0`, `1`, ... up to the highest training label, for formats that store no names."""
    highest = int(train_labels.max(initial=-1))
    return tuple(str(label) for label in range(highest + 1))
