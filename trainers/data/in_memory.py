"""Data sets by name or path, decoded once into uint8 arrays. Small images only: they stay in memory. No torch here."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from pyarrow import Table

Array = np.ndarray
IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
TEST_SPLITS = ("test", "val")
MAX_CLASSES = 100_000


@dataclass(frozen=True, eq=False)
class InMemoryDataset:
    """Images (n, height, width, channels) as uint8 with 1 or 3 channels, labels (n,) as int64, and the class names."""

    name: str
    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array
    classes: tuple[str, ...]

    @property
    def channels(self) -> int:
        """1 for gray images, 3 for colour."""
        return self.train_images.shape[-1]

    @property
    def num_train(self) -> int:
        """Images to train and validate on."""
        return len(self.train_labels)

    @property
    def num_test(self) -> int:
        """Images to test on."""
        return len(self.test_labels)

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of the pixels and labels."""
        digest = hashlib.blake2b(digest_size=4)
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def __post_init__(self) -> None:
        for split, labels in (("training", self.train_labels), ("test", self.test_labels)):
            if not len(labels):
                raise ValueError(f"{self.name}: no {split} images")
            if not 0 <= labels.min() <= labels.max() < len(self.classes):
                found = f"{labels.min()} to {labels.max()}"
                raise ValueError(f"{self.name}: {split} labels {found}, expected 0 to {len(self.classes) - 1}")
        if len(self.classes) < 2:
            raise ValueError(f"{self.name}: {len(self.classes)} class, expected 2 or more")


def load(data: str, img_size: int) -> InMemoryDataset:
    """Decode `data` at `img_size` pixels: `digits`, a folder (classes or Parquet), or `torch/<name>:<root>`.

    ValueError or OSError says which file is missing or corrupt.
    """
    if data == "digits":
        return _digits(img_size)
    if data.startswith("torch/"):
        return _torchvision(data, img_size)
    folder = Path(os.path.expanduser(data))  # Path's own raises where there is no such user
    if not folder.is_dir():
        raise FileNotFoundError(f"no data at {data}, expected digits, a folder, or torch/<name>:<root>")
    if (folder / "train.parquet").exists():
        return _parquet(folder, img_size)
    if (folder / "train").is_dir():
        return _class_folders(folder, img_size)
    raise FileNotFoundError(f"{folder} has neither train.parquet nor a train/ folder")


def validation_split(labels: Array, val_fraction: float) -> tuple[list[int], list[int]]:
    """Indices to train on and indices held out for validation, the same for every trial; every class in both.

    ValueError if a class has too few images for that.
    """
    from sklearn.model_selection import train_test_split

    held_out = max(math.ceil(val_fraction * len(labels)), len(np.unique(labels)))
    return train_test_split(range(len(labels)), test_size=held_out, stratify=labels, random_state=0)


def _digits(img_size: int) -> InMemoryDataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    gray = (digits.images * (255 / 16)).astype(np.uint8)
    images = _stack([Image.fromarray(image) for image in gray], img_size)
    labels = digits.target.astype(np.int64)
    splits = train_test_split(images, labels, test_size=360, stratify=labels, random_state=0)
    train_images, test_images, train_labels, test_labels = splits
    return InMemoryDataset("digits", train_images, train_labels, test_images, test_labels, tuple("0123456789"))


def _class_folders(folder: Path, img_size: int) -> InMemoryDataset:
    train, test = folder / "train", split_to_test_on(folder, "")
    classes = class_names(train)
    if extra := sorted(set(class_names(test)) - set(classes)):
        raise ValueError(f"{test} has class {extra[0]!r}, which {train} lacks")
    arrays = []
    for split in (train, test):
        files = [_image_files(split / name) for name in classes]
        if not any(files):
            raise FileNotFoundError(f"no images in {split}")
        if split == train and not all(files):
            raise FileNotFoundError(f"no images in {train / classes[files.index([])]}")
        arrays.append(_stack((decode(path, path) for paths in files for path in paths), img_size))
        arrays.append(np.repeat(np.arange(len(classes)), [len(paths) for paths in files]))
    return _image_data(folder.resolve().name, arrays, classes)


def split_to_test_on(folder: Path, suffix: str) -> Path:
    """What stands beside `train<suffix>` in `folder` to test on."""
    paths = [folder / f"{name}{suffix}" for name in TEST_SPLITS]
    if found := next((path for path in paths if path.exists()), None):
        return found
    raise FileNotFoundError(f"{folder} has train{suffix} but neither {paths[0].name} nor {paths[1].name}")


def class_names(split: Path) -> list[str]:
    """The class folders of a split, sorted."""
    folders = (path.name for path in split.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not (names := sorted(folders)):
        raise FileNotFoundError(f"{split} has no class folders")
    return names


def _image_files(folder: Path) -> list[Path]:
    files = (Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))


def _parquet(folder: Path, img_size: int) -> InMemoryDataset:
    arrays, names = [], None
    for file in (folder / "train.parquet", split_to_test_on(folder, ".parquet")):
        table = _read_table(file)
        images = _column(table, IMAGE_COLUMNS, file)
        labels = _column(table, LABEL_COLUMNS, file)
        if odd := [label for label in labels if not isinstance(label, int) or not 0 <= label < MAX_CLASSES]:
            raise ValueError(f"{file}: label {odd[0]!r}, expected whole numbers from 0 to below {MAX_CLASSES}")
        names = names or _label_names(table)
        arrays.append(_stack((_decode_cell(cell, file, row) for row, cell in enumerate(images)), img_size))
        arrays.append(np.array(labels, np.int64))
    classes = names or [str(label) for label in range(int(arrays[1].max(initial=-1)) + 1)]
    return _image_data(folder.resolve().name, arrays, classes)


def _read_table(file: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a readable Parquet file: {str(error).splitlines()[0]}") from error


def _column(table: Table, names: Iterable[str], file: Path) -> list:
    for name in names:
        if name in table.column_names:
            values = table[name].to_pylist()
            if None in values:
                raise ValueError(f"{file}: row {values.index(None)} has no {name}")
            return values
    raise ValueError(f"{file} has columns {', '.join(table.column_names)}, expected one of {', '.join(names)}")


def _label_names(table: Table) -> list[str] | None:
    """Class names from the metadata that Hugging Face's datasets write, if they are there."""
    import json

    try:
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        return next(list(features[name]["names"]) for name in LABEL_COLUMNS if name in features)
    except (TypeError, KeyError, ValueError, StopIteration):
        return None


def _decode_cell(cell: object, file: Path, row: int) -> Image.Image:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise ValueError(f"{file}: row {row} holds no image bytes")
    return decode(io.BytesIO(content), f"{file}: row {row}")


def _torchvision(data: str, img_size: int) -> InMemoryDataset:
    import searchspace.torchvision_ops  # noqa: F401

    from timm.data import create_dataset

    name, _, root = data.partition(":")
    if not root:
        raise ValueError(f"data {data!r} names no folder to download to, expected {name}:<root>")
    arrays: list[Array] = []
    classes: list[str] = []
    for split in ("train", "validation"):
        try:
            dataset = create_dataset(name, root=str(Path(root).expanduser()), split=split, download=True)
        except (AssertionError, RuntimeError) as error:
            raise ValueError(f"data {data!r}: {error}") from error
        images, labels = zip(*dataset, strict=True)
        arrays += [_stack(images, img_size), np.array(labels, np.int64)]
        classes = list(map(str, dataset.classes))
    return _image_data(name, arrays, classes)


def decode(source: Path | io.BytesIO, where: object) -> Image.Image:
    """One image, decoded; ValueError with `where` it is if it cannot be."""
    try:
        image = Image.open(source)
        image.load()
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers of unknown range")
        return _eight_bits(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"{where} cannot be decoded: {reason}") from error


def _stack(images: Iterable[Image.Image], img_size: int) -> Array:
    """Resize and crop to a square; gray if every image is gray, else colour. (n, img_size, img_size, channels)."""
    arrays = [_square(image, img_size) for image in images]
    channels = max((array.shape[-1] for array in arrays), default=1)
    return np.stack([np.broadcast_to(a, (img_size, img_size, channels)) for a in arrays]) if arrays else np.empty((0,))


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))  # Pillow would clip 16 bits


def _square(image: Image.Image, img_size: int) -> Array:
    image = _eight_bits(image)
    image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    if image.size != (img_size, img_size):
        image = ImageOps.fit(image, (img_size, img_size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(img_size, img_size, -1)


def _image_data(name: str, arrays: list[Array], classes: Iterable[str]) -> InMemoryDataset:
    """Both splits in colour if one of them is."""
    train_images, train_labels, test_images, test_labels = arrays
    channels = max(train_images.shape[-1], test_images.shape[-1])
    both = (np.ascontiguousarray(np.broadcast_to(a, (*a.shape[:-1], channels))) for a in (train_images, test_images))
    return InMemoryDataset(name, next(both), train_labels, next(both), test_labels, tuple(classes))
