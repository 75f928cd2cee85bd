"""Data sets of the Hugging Face hub, `hfds/<name>:<folder>`: downloaded to the folder once, and streamed from there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from trainers.data.dataset import Array, numbered_classes
from trainers.data.decoding import ImageReadError, decode_image
from trainers.data.splits import TEST_SPLITS
from trainers.data.streamed import ImageReader, StreamedDataset

if TYPE_CHECKING:
    from timm.data.readers.reader_hfds import ReaderHfds


@dataclass(frozen=True, eq=False)
class HuggingFaceReader(ImageReader):
    """Images as rows of one split of a data set, read by timm."""

    name: str
    root: str
    split: str

    def read(self, index: int) -> Image.Image:
        description = self.describe(index)
        try:
            source, _ = _timm_reader(self.name, self.root, self.split)[index]
            content = source.read()
        except OSError as error:
            raise ImageReadError.of(error, description) from error
        return decode_image(content, description).convert("RGB")

    def describe(self, index: int) -> str:
        return f"{self.name}: {self.split} row {index}"


def open_hugging_face(source: str) -> StreamedDataset:
    """The data set `hfds/<name>:<folder>`, downloaded to the folder unless it is there. ValueError if it cannot be."""
    name, _, folder = source.removeprefix("hfds/").partition(":")
    if not folder:
        raise ValueError(f"data {source!r} names no folder to download to, expected hfds/<name>:<folder>")
    root = os.path.abspath(os.path.expanduser(folder))
    test_split = _test_split(name)
    try:
        train_reader = _timm_reader(name, root, "train")
        test_reader = _timm_reader(name, root, test_split)
    except (ValueError, OSError, RuntimeError) as error:
        raise ValueError(_cannot_be_read(name, error)) from error
    train_labels = _labels(train_reader)
    test_labels = _labels(test_reader)
    return StreamedDataset(
        name=name.rpartition("/")[2],
        classes=_class_names(train_reader) or numbered_classes(train_labels),
        train_images=HuggingFaceReader(name, root, "train"),
        train_labels=train_labels,
        test_images=HuggingFaceReader(name, root, test_split),
        test_labels=test_labels,
        listing_fingerprint=_fingerprint(name, {"train": train_labels, test_split: test_labels}),
    )


def _test_split(name: str) -> str:
    """The split to test on: `validation` if there is one, as ImageNet's test split has no labels."""
    datasets = _import_datasets()
    try:
        splits = datasets.get_dataset_split_names(name)
    except (OSError, RuntimeError) as error:
        raise ValueError(_cannot_be_read(name, error)) from error
    wanted = ("validation", *TEST_SPLITS)
    for split in wanted:
        if split in splits:
            return split
    found = ", ".join(splits)
    expected = ", ".join(wanted)
    raise ValueError(f"data set {name!r} has splits {found}, expected train and one of {expected}")


@cache  # in each process, since a reader holds open files
def _timm_reader(name: str, root: str, split: str) -> ReaderHfds:
    import searchspace.torchvision_ops  # noqa: F401

    from timm.data.readers.reader_hfds import ReaderHfds

    return ReaderHfds(name, root, split)


def _import_datasets() -> ModuleType:
    try:
        import datasets
    except ImportError:
        raise ValueError("Hugging Face data sets need one more package: pip install '.[hf]'") from None
    return datasets


def _cannot_be_read(name: str, error: Exception) -> str:
    return f"data set {name!r} cannot be read: {str(error).splitlines()[0]}"


def _labels(reader: ReaderHfds) -> Array:
    return np.array(list(reader.iter_targets()), dtype=np.int64)


def _class_names(reader: ReaderHfds) -> tuple[str, ...]:
    """The class names in the order of their labels; none if the data set has none."""
    label_of_class = reader.class_to_idx
    names = sorted(label_of_class, key=label_of_class.__getitem__)
    return tuple(str(name) for name in names)


def _fingerprint(name: str, labels_of_splits: dict[str, Array]) -> str:
    marks = []
    for split, labels in labels_of_splits.items():
        label_digest = hashlib.blake2b(labels.tobytes()).hexdigest()
        marks.append((split, len(labels), label_digest))
    content = repr((name, marks)).encode()
    return hashlib.blake2b(content, digest_size=4).hexdigest()
