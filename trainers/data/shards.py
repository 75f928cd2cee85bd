"""WebDataset shards (`name-train-0000.tar`: `key.jpg` beside `key.cls`), read in place: an index of where each image
lies makes shards as random-access as a folder, so that epochs repeat exactly. Nothing is extracted."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.data.in_memory import IMAGE_SUFFIXES, TEST_SPLITS, Array, decode
from trainers.data.streamed import THREADS, StreamedDataset

LABEL = "cls"


@dataclass(frozen=True, eq=False)
class Shards:
    """Images as members of tar files: of each its file's number, offset and size (n, 3); labels (n,)."""

    files: tuple[str, ...]
    places: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> Image.Image:
        """One image in colour; ValueError names one that cannot be decoded."""
        number, offset, size = self.places[index]
        with open(self.files[number], "rb") as file:
            file.seek(offset)
            content = file.read(size)
        return decode(io.BytesIO(content), f"{self.files[number]}: image at byte {offset}").convert("RGB")


def find_shards(folder: Path) -> StreamedDataset:
    """The shards in `folder` by the split that their names hold; ValueError names one that cannot be read."""
    files = sorted(folder.resolve().glob("*.tar"))
    train = [file for file in files if "train" in file.name]
    test = next(
        (found for name in TEST_SPLITS if (found := [f for f in files if name in f.name and f not in train])), []
    )
    for found, names in ((train, "train"), (test, " or ".join(TEST_SPLITS))):
        if not found:
            raise FileNotFoundError(f"{folder} has {len(files)} .tar shards, but none with {names} in its name")
    splits = [_shards(train), _shards(test)]
    digest = hashlib.blake2b(digest_size=4)
    for split in splits:
        digest.update(repr([(os.path.basename(file), os.path.getsize(file)) for file in split.files]).encode())
        digest.update(split.places.tobytes() + split.labels.tobytes())
    classes = range(int(splits[0].labels.max(initial=-1)) + 1)
    return StreamedDataset(folder.resolve().name, splits[0], splits[1], tuple(map(str, classes)), digest.hexdigest())


def _shards(files: list[Path]) -> Shards:
    with ThreadPoolExecutor(THREADS) as pool:
        indexed = list(pool.map(_index, files))
    rows = [(number, *row) for number, found in enumerate(indexed) for row in found]
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 4)
    return Shards(tuple(map(str, files)), table[:, :3].copy(), table[:, 3].copy())


def _index(file: Path) -> list[tuple[int, int, int]]:
    """Offset, size and label of each image, in order."""
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    try:
        with tarfile.open(file, "r:") as tar, file.open("rb") as content:
            for member in tar:
                if member.isfile():
                    key, _, suffix = member.name.rpartition("/")[2].partition(".")
                    samples.setdefault(f"{os.path.dirname(member.name)}/{key}".strip("/"), {})[suffix.lower()] = member
            return [_row(file, key, members, content) for key, members in samples.items()]
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{file} is not a readable tar file: {error}") from error


def _row(file: Path, key: str, members: dict[str, tarfile.TarInfo], content: io.BufferedReader) -> tuple[int, int, int]:
    images = [member for suffix, member in members.items() if f".{suffix}" in IMAGE_SUFFIXES]
    if len(images) != 1 or LABEL not in members:
        found = ", ".join(sorted(members))
        raise ValueError(f"{file}: sample {key!r} has {found}, expected one image and a .{LABEL}")
    content.seek(members[LABEL].offset_data)
    label = content.read(min(members[LABEL].size, 20)).strip()
    if not label.isdigit():
        raise ValueError(f"{file}: sample {key!r}: label {label!r}, expected a whole number")
    return images[0].offset_data, images[0].size, int(label)
