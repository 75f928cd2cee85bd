"""Data sets of torchvision, `torch/<name>:<root>`: downloaded to the folder `<root>` once, and decoded into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainers.data.decoding import stack_squares
from trainers.data.in_memory import DecodedSplit, InMemoryDataset


def load_torchvision(source: str, img_size: int) -> InMemoryDataset:
    """The data set `torch/<name>:<root>`. ValueError if torchvision does not have it or it cannot be downloaded."""
    name, _, root = source.partition(":")
    if not root:
        raise ValueError(f"data {source!r} names no folder to download to, expected {name}:<root>")
    folder = str(Path(root).expanduser())
    try:
        train = _create(name, folder, "train")
        test = _create(name, folder, "validation")
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"data {source!r}: {error}") from error
    classes = [str(class_name) for class_name in test.classes]
    return InMemoryDataset.of_splits(
        name=name,
        classes=classes,
        train=_decode_split(train, img_size),
        test=_decode_split(test, img_size),
    )


def _create(name: str, folder: str, split: str) -> Any:
    """A torchvision data set: a sequence of (image, label) with the attribute `classes`."""
    import searchspace.torchvision_ops  # noqa: F401

    from timm.data import create_dataset

    return create_dataset(name, root=folder, split=split, download=True)


def _decode_split(dataset: Any, img_size: int) -> DecodedSplit:
    images, labels = zip(*dataset, strict=True)
    return DecodedSplit(stack_squares(images, img_size), np.array(labels, np.int64))
