"""Data sets too large for memory: which images there are, and reading one of them. No torch here."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from trainers.data.in_memory import (
    IMAGE_SUFFIXES,
    TEST_SPLITS,
    Array,
    InMemoryDataset,
    class_names,
    decode,
    load,
    split_to_test_on,
)
from trainers.recipes import Recipe

if TYPE_CHECKING:
    from timm.data.readers.reader_hfds import ReaderHfds

THREADS = 16  # file systems over a network answer many at a time


@dataclass(frozen=True, eq=False)
class Files:
    """Images as files under `root`: relative names as bytes, so that a million of them travel well; labels (n,)."""

    root: str
    names: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> Image.Image:
        """One image in colour; ValueError names a file that cannot be decoded."""
        path = Path(self.root, os.fsdecode(self.names[index]))
        return decode(path, path).convert("RGB")


@dataclass(frozen=True, eq=False)
class HubRows:
    """Images as rows of a Hugging Face data set, by timm's reader; labels (n,)."""

    name: str
    root: str
    split: str
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> Image.Image:
        """One image in colour; ValueError names a row that cannot be decoded."""
        source, _ = _hub_reader(self.name, self.root, self.split)[index]
        return decode(io.BytesIO(source.read()), f"{self.name}: {self.split} row {index}").convert("RGB")


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """Colour images that are read when they are needed, and the class names. Nothing is decoded here."""

    name: str
    train: Any  # Files or HubRows
    test: Any
    classes: tuple[str, ...]
    fingerprint: str  # eight hexadecimal digits of the files' names and sizes
    channels = 3

    @property
    def train_labels(self) -> Array:
        """(n,) int64."""
        return self.train.labels

    @property
    def num_train(self) -> int:
        """Images to train and validate on."""
        return len(self.train)

    @property
    def num_test(self) -> int:
        """Images to test on."""
        return len(self.test)

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"{self.name}: {len(self.classes)} class, expected 2 or more")
        for split, rows in (("training", self.train), ("test", self.test)):
            if not len(rows):
                raise ValueError(f"{self.name}: no {split} images")
            if not 0 <= rows.labels.min() <= rows.labels.max() < len(self.classes):
                found = f"{rows.labels.min()} to {rows.labels.max()}"
                raise ValueError(f"{self.name}: {split} labels {found}, expected 0 to {len(self.classes) - 1}")


def open_dataset(data: str, recipe: Recipe) -> InMemoryDataset | StreamedDataset:
    """The data set of this name or path as the recipe takes it: streamed or in memory; ValueError or OSError if not."""
    return find(data) if recipe.streamed else load(data, recipe.img_size)


def find(data: str) -> StreamedDataset:
    """The images of `data`: a folder of class folders, WebDataset shards in a folder, or `hfds/<name>:<folder>`.

    ValueError or OSError says what is missing.
    """
    if data.startswith("hfds/"):
        return _hub(data)
    folder = Path(os.path.expanduser(data))
    if not folder.is_dir():
        raise FileNotFoundError(f"no data at {data}, expected a folder with train/ and val/, or hfds/<name>:<folder>")
    if any(folder.glob("*.tar")):
        from trainers.data.shards import find_shards

        return find_shards(folder)
    if not (folder / "train").is_dir():
        raise FileNotFoundError(f"{folder} has neither a train/ folder of class folders nor .tar shards")
    return _class_folders(folder.resolve())


def _class_folders(folder: Path) -> StreamedDataset:
    train, test = folder / "train", split_to_test_on(folder, "")
    classes = class_names(train)
    if extra := sorted(set(class_names(test)) - set(classes)):
        raise ValueError(f"{test} has class {extra[0]!r}, which {train} lacks")
    digest, splits = hashlib.blake2b(repr(classes).encode(), digest_size=4), []
    for split in (train, test):
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(_images_of, [split / name for name in classes]))
        if split == train and not all(found):
            raise FileNotFoundError(f"no images in {train / classes[found.index([])]}")
        names = [os.fsencode(f"{name}/{file}") for name, files in zip(classes, found, strict=True) for file, _ in files]
        digest.update(repr(found).encode())
        labels = np.repeat(np.arange(len(classes)), [len(files) for files in found])
        splits.append(Files(str(split), np.array(names, dtype=bytes), labels))
    return StreamedDataset(folder.name, splits[0], splits[1], tuple(classes), digest.hexdigest())


def _images_of(folder: Path) -> list[tuple[str, int]]:
    """Image files below a class folder, sorted, with their sizes; none if the folder is missing."""
    if not folder.is_dir():
        return []
    paths = (os.path.join(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names)
    images = (path for path in paths if path.lower().endswith(IMAGE_SUFFIXES))
    visible = (path for path in images if not os.path.basename(path).startswith("."))
    return sorted((os.path.relpath(path, folder), os.stat(path)[stat.ST_SIZE]) for path in visible)


def _hub(data: str) -> StreamedDataset:
    """A Hugging Face data set, downloaded to the folder that `data` names unless it is there."""
    name, _, root = data.removeprefix("hfds/").partition(":")
    if not root:
        raise ValueError(f"data {data!r} names no folder to download to, expected hfds/<name>:<folder>")
    root = os.path.abspath(os.path.expanduser(root))
    splits = ("train", _hub_test_split(name))
    readers = [_hub_reader(name, root, split) for split in splits]
    labels = [np.array(list(reader.iter_targets()), dtype=np.int64) for reader in readers]
    rows = [HubRows(name, root, split, column) for split, column in zip(splits, labels, strict=True)]
    indices = readers[0].class_to_idx
    classes = sorted(indices, key=indices.__getitem__) or [
        str(label) for label in range(int(rows[0].labels.max(initial=-1)) + 1)
    ]
    marks = [(row.split, len(row), hashlib.blake2b(row.labels.tobytes()).hexdigest()) for row in rows]
    fingerprint = hashlib.blake2b(repr((name, marks)).encode(), digest_size=4).hexdigest()
    return StreamedDataset(name.rpartition("/")[2], rows[0], rows[1], tuple(map(str, classes)), fingerprint)


def _hub_test_split(name: str) -> str:
    try:
        names: Iterable[str] = _datasets().get_dataset_split_names(name)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"data set {name!r} cannot be read: {str(error).splitlines()[0]}") from error
    wanted = ("validation", *TEST_SPLITS)
    if found := next((split for split in wanted if split in names), None):
        return found
    raise ValueError(f"data set {name!r} has splits {', '.join(names)}, expected train and one of {', '.join(wanted)}")


_readers: dict[tuple[str, str, str], ReaderHfds] = {}  # one for each process: they hold open files


def _hub_reader(name: str, root: str, split: str) -> ReaderHfds:
    if (name, root, split) not in _readers:
        _datasets()
        import searchspace.torchvision_ops  # noqa: F401

        from timm.data.readers.reader_hfds import ReaderHfds

        try:
            _readers[name, root, split] = ReaderHfds(name, root, split)
        except (ValueError, OSError, RuntimeError) as error:
            raise ValueError(f"data set {name!r} cannot be read: {str(error).splitlines()[0]}") from error
    return _readers[name, root, split]


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise ValueError("Hugging Face data sets need one more package: pip install '.[hf]'") from None
    return datasets
