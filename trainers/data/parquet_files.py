"""Which Parquet files a data set has, and which of their columns are the images, the labels and the class names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainers.data.dataset import Array
from trainers.data.splits import find_test_split

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
HUB_TEST_SPLITS = ("validation", "test", "val")  # the preferred one first: ImageNet's test split has no labels
SHARD = re.compile(r"(?P<split>\w+)-\d{5}-of-(?P<number>\d{5})(-\w+)?\.parquet")


@dataclass(frozen=True)
class ParquetFiles:
    """The files of the two splits of a data set, in order."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]

    @classmethod
    def find(cls, folder: Path) -> ParquetFiles | None:
        """`train.parquet` beside `test.parquet` or `val.parquet`, or the layout of the Hugging Face hub.

        The latter is `train-00000-of-00002.parquet` and so on, in `folder` or its folder `data`. None if there is
        neither; FileNotFoundError if a file or a split is missing.
        """
        if (folder / "train.parquet").exists():
            return cls((folder / "train.parquet",), (find_test_split(folder, ".parquet"),))
        for place in (folder, folder / "data"):
            shards = _shards_by_split(place)
            if "train" in shards:
                return cls(shards["train"], _test_shards(shards, place))
        return None


def _shards_by_split(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of the hub's layout, sorted. FileNotFoundError if there are not as many as their names say."""
    shards: dict[str, list[Path]] = {}
    numbers: dict[str, int] = {}
    for file in sorted(folder.glob("*.parquet")):
        found = SHARD.fullmatch(file.name)
        if found:
            shards.setdefault(found["split"], []).append(file)
            numbers[found["split"]] = int(found["number"])
    for split, files in shards.items():
        if len(files) != numbers[split]:
            raise FileNotFoundError(f"{folder} has {len(files)} of {numbers[split]} Parquet files of split {split}")
    return {split: tuple(files) for split, files in shards.items()}


def _test_shards(shards: dict[str, tuple[Path, ...]], folder: Path) -> tuple[Path, ...]:
    for split in HUB_TEST_SPLITS:
        if split in shards:
            return shards[split]
    expected = ", ".join(HUB_TEST_SPLITS)
    raise FileNotFoundError(f"{folder} has Parquet files of train but of none of {expected}")


def open_file(file: Path) -> pq.ParquetFile:
    """A file with its footer read. ValueError if it is not a regular file, not Parquet, or has no rows."""
    if not file.is_file():
        raise ValueError(f"{file} is not a regular file, expected Parquet")
    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(_not_readable(file, error)) from error
    if not opened.metadata.num_rows:
        raise ValueError(f"{file} has no rows: there are no images in it")
    return opened


def read_column(opened: pq.ParquetFile, file: Path, names: Sequence[str]) -> pa.ChunkedArray:
    """The first of these columns that a file has. ValueError if it has none, or if a value is missing."""
    name = column_name(opened, file, names)
    try:
        column = opened.read(columns=[name])[name]
    except (pa.ArrowException, OSError) as error:
        raise ValueError(_not_readable(file, error)) from error
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise ValueError(f"{file}: row {row} has no {name}")
    return column


def column_name(opened: pq.ParquetFile, file: Path, names: Sequence[str]) -> str:
    """The first of these columns that a file has. ValueError if it has none."""
    found = opened.schema_arrow.names
    for name in names:
        if name in found:
            return name
    raise ValueError(f"{file} has columns {', '.join(found)}, expected one of {', '.join(names)}")


def read_labels(opened: pq.ParquetFile, file: Path) -> Array:
    """(n,) int64. ValueError if a label is not a whole number, or so high that it is no class (an identifier, say)."""
    labels = read_column(opened, file, LABEL_COLUMNS).to_pylist()
    for label in labels:
        is_class = isinstance(label, int) and 0 <= label < 100_000
        if not is_class:
            raise ValueError(f"{file}: label {label!r}, expected whole numbers from 0 to below 100000")
    return np.array(labels, np.int64)


def class_names(opened: pq.ParquetFile) -> tuple[str, ...]:
    """Class names from the metadata that Hugging Face's `datasets` writes; none if there are no such metadata."""
    try:
        metadata = json.loads(opened.schema_arrow.metadata[b"huggingface"])
        features = metadata["info"]["features"]
        for column in LABEL_COLUMNS:
            if column in features:
                return tuple(str(name) for name in features[column]["names"])
    except (TypeError, KeyError, ValueError):
        pass
    return ()


def _not_readable(file: Path, error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return f"{file} is not a readable Parquet file: {lines[0]}"
