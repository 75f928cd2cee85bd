"""Images in a folder for each class: `train/<class>/...` and `test/<class>/...` (or `val/`), in memory or streamed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.data.dataset import Array
from trainers.data.decoding import IMAGE_SUFFIXES, check_image_file, decode_image, read_image_file, stack_squares
from trainers.data.in_memory import DecodedSplit, InMemoryDataset
from trainers.data.splits import find_test_split
from trainers.data.streamed import ImageReader, StreamedDataset, list_in_threads
from trainers.names import displayed


@dataclass(frozen=True)
class ClassFolders:
    """The two splits of a data set, and the class names, which are the folders of the training split, sorted."""

    train: Path
    test: Path
    classes: tuple[str, ...]

    @classmethod
    def find(cls, folder: Path) -> ClassFolders:
        """FileNotFoundError if a split has no class folders; ValueError if only the test split has some class."""
        train = folder / "train"
        test = find_test_split(folder)
        classes = _class_names(train)
        unknown = sorted(set(_class_names(test)) - set(classes))
        if unknown:
            raise ValueError(f"{test} has class {unknown[0]!r}, which {train} lacks")
        return cls(train, test, tuple(classes))


@dataclass(frozen=True, eq=False)
class FileReader(ImageReader):
    """Images as files below `root`. The relative names are an array of bytes, since a million of them is pickled."""

    root: str
    names: Array

    def read(self, index: int) -> Image.Image:
        content = read_image_file(Path(self._path(index)))
        return decode_image(content, self.describe(index)).convert("RGB")

    def describe(self, index: int) -> str:
        return displayed(self._path(index))

    def _path(self, index: int) -> str:
        return os.path.join(self.root, os.fsdecode(self.names[index]))


def load_class_folders(folder: Path, img_size: int) -> InMemoryDataset:
    """Every image below `folder`, decoded. FileNotFoundError or ValueError names what is missing or corrupt."""
    found = ClassFolders.find(folder)
    train_files = _sorted_paths(found.train, found.classes)
    _require_every_class(found, train_files)
    train = _decode_split(train_files, img_size)
    test_files = _sorted_paths(found.test, found.classes)
    test = _decode_split(test_files, img_size)
    return InMemoryDataset.of_splits(folder.resolve().name, found.classes, train=train, test=test)


def open_class_folders(folder: Path) -> StreamedDataset:
    """The images below `folder`, listed but not decoded. FileNotFoundError or ValueError names what is missing."""
    found = ClassFolders.find(folder)
    train_files = _names_and_sizes(found.train, found.classes)
    _require_every_class(found, train_files)
    test_files = _names_and_sizes(found.test, found.classes)
    digest = hashlib.blake2b(repr(list(found.classes)).encode(), digest_size=4)
    digest.update(repr(train_files).encode())
    digest.update(repr(test_files).encode())
    return StreamedDataset(
        name=folder.name,
        classes=found.classes,
        train_images=_file_reader(found.train, found.classes, train_files),
        train_labels=_labels(train_files),
        test_images=_file_reader(found.test, found.classes, test_files),
        test_labels=_labels(test_files),
        listing_fingerprint=digest.hexdigest(),
    )


def _class_names(split: Path) -> list[str]:
    names = []
    for path in split.iterdir():
        is_hidden = path.name.startswith(".")
        if path.is_dir() and not is_hidden:
            names.append(path.name)
    if not names:
        raise FileNotFoundError(f"{split} has no class folders")
    return sorted(names)


def _require_every_class(found: ClassFolders, train_files: Sequence[Sized]) -> None:
    """FileNotFoundError if a class has no image to train on."""
    for name, files in zip(found.classes, train_files, strict=True):
        if not files:
            raise FileNotFoundError(f"no images in {found.train / name}")


def _image_paths(folder: Path) -> Iterator[str]:
    """Image files anywhere below `folder`, linked folders included, in no order. Hidden files are left out.

    ValueError if a folder is linked from within itself; OSError if one cannot be listed.
    """
    if not folder.is_dir():  # the test split need not have every class
        return
    for root, names in _walk(str(folder)):
        for name in names:
            is_hidden = name.startswith(".")
            is_image = name.lower().endswith(IMAGE_SUFFIXES)
            if is_image and not is_hidden:
                yield os.path.join(root, name)


def _walk(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Each folder below `folder`, itself included, with the names of its files.

    `ancestors` are those of the folders that are still to be listed, themselves included.
    """
    ancestors: dict[str, tuple[tuple[int, int], ...]] = {}
    ancestors[folder] = (_identity(folder),)
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        above = ancestors.pop(root)
        for name in folders:
            path = os.path.join(root, name)
            identity = _identity(path)
            if identity in above:
                raise ValueError(f"{displayed(path)} links to a folder that it lies in")
            ancestors[path] = (*above, identity)
        yield root, names


def _identity(folder: str) -> tuple[int, int]:
    """The device and inode of a folder, which its links share."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _raise(error: OSError) -> None:
    raise error


def _sorted_paths(split: Path, classes: Sequence[str]) -> list[list[Path]]:
    """The image files of each class; files in a subfolder stay together. FileNotFoundError if there are none at all."""
    files_of_classes = []
    for name in classes:
        paths = [Path(path) for path in _image_paths(split / name)]
        files_of_classes.append(sorted(paths))
    if not any(files_of_classes):
        raise FileNotFoundError(f"no images in {split}")
    return files_of_classes


def _names_and_sizes(split: Path, classes: Sequence[str]) -> list[list[tuple[str, int]]]:
    """The image files of each class, sorted: name relative to the class folder, and size in bytes."""
    folders = [split / name for name in classes]
    return list_in_threads(_names_and_sizes_below, folders)


def _names_and_sizes_below(folder: Path) -> list[tuple[str, int]]:
    files = []
    for path in _image_paths(folder):
        name = os.path.relpath(path, folder)
        status = os.stat(path)
        check_image_file(path, status)
        files.append((name, status.st_size))
    return sorted(files)


def _labels(files_of_classes: Sequence[Sized]) -> Array:
    """(n,) int64: the index of its class for each image, class by class."""
    counts = [len(files) for files in files_of_classes]
    return np.repeat(np.arange(len(counts)), counts)


def _decode_split(files_of_classes: list[list[Path]], img_size: int) -> DecodedSplit:
    paths = chain.from_iterable(files_of_classes)
    images = (decode_image(read_image_file(path), displayed(path)) for path in paths)
    return DecodedSplit(
        images=stack_squares(images, img_size),
        labels=_labels(files_of_classes),
    )


def _file_reader(split: Path, classes: Sequence[str], listing: list[list[tuple[str, int]]]) -> FileReader:
    names = []
    for class_name, files in zip(classes, listing, strict=True):
        for file, _ in files:
            name = f"{class_name}/{file}"
            names.append(os.fsencode(name))
    return FileReader(root=str(split), names=np.array(names, dtype=bytes))
