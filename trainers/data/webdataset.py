"""WebDataset shards (`name-train-0000.tar`: `key.jpg` beside `key.cls`), read in place without extracting them.

An index of where each image lies in its file makes shards as random-access as a folder, so that epochs are repeatable.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.data.dataset import Array, numbered_classes
from trainers.data.decoding import IMAGE_SUFFIXES, ImageReadError, decode_image
from trainers.data.splits import TEST_SPLITS
from trainers.data.streamed import ImageReader, StreamedDataset, list_in_threads


@dataclass(frozen=True, slots=True)
class ShardSample:
    """Where a shard holds an image (offset in the file and size, both in bytes), and the image's label."""

    offset: int
    size: int
    label: int


@dataclass(frozen=True, eq=False)
class ShardReader(ImageReader):
    """Images as members of tar files. `locations` (n, 3): each one's file (its index), offset and size in bytes."""

    files: tuple[str, ...]
    locations: Array

    def read(self, index: int) -> Image.Image:
        number, offset, size = self.locations[index]
        description = self.describe(index)
        try:
            with open(self.files[number], "rb") as file:
                file.seek(offset)
                content = file.read(size)
        except OSError as error:
            raise ImageReadError.of(error, description) from error
        if len(content) < size:
            raise ImageReadError(f"{description} cannot be read: the file has only {len(content)} of its {size} bytes")
        return decode_image(content, description).convert("RGB")

    def describe(self, index: int) -> str:
        number, offset, _ = self.locations[index]
        return f"{self.files[number]}: image at byte {offset}"


def open_shards(folder: Path) -> StreamedDataset:
    """The shards in `folder`; a shard's name says its split. ValueError or FileNotFoundError names what is wrong."""
    train_files, test_files = _shards_of_splits(folder)
    train_images, train_labels = _index_split(train_files)
    test_images, test_labels = _index_split(test_files)
    digest = hashlib.blake2b(digest_size=4)
    _update(digest, train_images, train_labels)
    _update(digest, test_images, test_labels)
    return StreamedDataset(
        name=folder.resolve().name,
        classes=numbered_classes(train_labels),
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        listing_fingerprint=digest.hexdigest(),
    )


def _update(digest: hashlib.blake2b, images: ShardReader, labels: Array) -> None:
    """Add one split's shards, and what their indices hold, to the fingerprint of a data set."""
    names_and_sizes = []
    for file in images.files:
        name = os.path.basename(file)
        names_and_sizes.append((name, os.path.getsize(file)))
    digest.update(repr(names_and_sizes).encode())
    digest.update(images.locations.tobytes())
    digest.update(labels.tobytes())


def _shards_of_splits(folder: Path) -> tuple[list[Path], list[Path]]:
    """The shards to train on and those to test on, sorted by name. FileNotFoundError if there are none of a split."""
    files = sorted(folder.resolve().glob("*.tar"))
    train = [file for file in files if "train" in file.name]
    others = [file for file in files if "train" not in file.name]
    found = f"{folder} has {len(files)} .tar shards"
    if not train:
        raise FileNotFoundError(f"{found}, but none with train in its name")
    for split in TEST_SPLITS:
        test = [file for file in others if split in file.name]
        if test:
            return train, test
    names = " or ".join(TEST_SPLITS)
    raise FileNotFoundError(f"{found}, but none with {names} in its name")


def _index_split(files: list[Path]) -> tuple[ShardReader, Array]:
    """A reader of all images in these shards, and their labels (n,) as int64."""
    locations = []
    labels = []
    for number, samples in enumerate(list_in_threads(_index_shard, files)):
        for sample in samples:
            locations.append((number, sample.offset, sample.size))
            labels.append(sample.label)
    table = np.array(locations, dtype=np.int64)
    reader = ShardReader(
        files=tuple(str(file) for file in files),
        locations=table.reshape(len(locations), 3),
    )
    return reader, np.array(labels, dtype=np.int64)


def _index_shard(file: Path) -> list[ShardSample]:
    """The samples of one shard, in the order of the file. ValueError if it is not a tar file of such samples."""
    if not file.is_file():
        raise ValueError(f"{file} is not a regular file, expected a tar file")
    try:
        with tarfile.open(file, "r:") as tar, file.open("rb") as content:
            samples = []
            for key, members in _members_by_key(tar).items():
                description = f"{file}: sample {key!r}"
                samples.append(_read_sample(description, members, content))
            return samples
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{file} is not a readable tar file: {error}") from error


def _members_by_key(tar: tarfile.TarFile) -> dict[str, dict[str, tarfile.TarInfo]]:
    """The files of each sample by suffix. A sample's key is its files' common path up to the first dot of the name."""
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        if not member.isfile():
            continue
        folder, name = os.path.split(member.name)
        stem, _, suffix = name.partition(".")
        key = f"{folder}/{stem}".strip("/")
        samples.setdefault(key, {})[suffix.lower()] = member
    return samples


def _read_sample(description: str, members: dict[str, tarfile.TarInfo], content: io.BufferedReader) -> ShardSample:
    """One sample of a shard. ValueError if it is not one image with a whole number as its label."""
    images = []
    for suffix, member in members.items():
        if f".{suffix}" in IMAGE_SUFFIXES:
            images.append(member)
    if len(images) != 1 or "cls" not in members:
        found = ", ".join(sorted(members))
        raise ValueError(f"{description} has {found}, expected one image and a .cls")
    label_file = members["cls"]
    content.seek(label_file.offset_data)
    label = content.read(min(label_file.size, 20)).strip()
    if not label.isdigit():
        raise ValueError(f"{description}: label {label!r}, expected a whole number")
    (image,) = images
    return ShardSample(image.offset_data, image.size, int(label))
