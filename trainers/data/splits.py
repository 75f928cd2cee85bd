"""Training, validation and test splits: what they are called on disk, and how the validation split is drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from trainers.data.dataset import ImageDataset

TEST_SPLITS = ("test", "val")  # names of the split to test on, the preferred one first


def find_test_split(folder: Path, suffix: str = "") -> Path:
    """The path `test<suffix>` in `folder`, or else `val<suffix>`. FileNotFoundError if there is neither."""
    paths = [folder / f"{name}{suffix}" for name in TEST_SPLITS]
    for path in paths:
        if path.exists():
            return path
    names = " nor ".join(path.name for path in paths)
    raise FileNotFoundError(f"{folder} has train{suffix} but neither {names}")


def validation_split(data: ImageDataset, val_fraction: float) -> tuple[list[int], list[int]]:
    """Indices to train on and indices held out for validation: stratified by class, and the same for every trial.

    Every class is in both, so that more than `val_fraction` may be held out. ValueError if a class has too few images.
    """
    from sklearn.model_selection import train_test_split  # slow to import

    labels = data.train_labels
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        name = data.classes[classes[counts.argmin()]]
        raise ValueError(f"{data.name}: class {name!r} has 1 training image, expected 2 or more: one is held out")
    num_held_out = math.ceil(val_fraction * len(labels))
    train, held_out = train_test_split(
        range(len(labels)),
        test_size=max(num_held_out, len(classes)),
        stratify=labels,
        random_state=0,
    )
    return train, held_out
