"""Images in Parquet files `train.parquet` and `test.parquet` (or `val.parquet`), as Hugging Face lays them out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainers.data.dataset import Array, numbered_classes
from trainers.data.decoding import decode_image, stack_squares
from trainers.data.in_memory import DecodedSplit, InMemoryDataset
from trainers.data.splits import find_test_split

LABEL_COLUMNS = ("label", "labels", "fine_label")


def load_parquet(folder: Path, img_size: int) -> InMemoryDataset:
    """Every image of both files, decoded. ValueError names the file, and the row if it is one, that is not valid."""
    train_file = folder / "train.parquet"
    test_file = find_test_split(folder, ".parquet")
    train_table = _read_table(train_file)
    train = _decode_split(train_table, train_file, img_size)
    test_table = _read_table(test_file)
    test = _decode_split(test_table, test_file, img_size)
    classes = _class_names(train_table) or _class_names(test_table) or numbered_classes(train.labels)
    return InMemoryDataset.of_splits(folder.resolve().name, classes, train=train, test=test)


def _read_table(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} is not a readable Parquet file: {reason}") from error


def _decode_split(table: pa.Table, file: Path, img_size: int) -> DecodedSplit:
    cells = _column(table, ("image", "img"), file)
    labels = _labels(table, file)
    images = (_decode_cell(cell, f"{file}: row {row}") for row, cell in enumerate(cells))
    return DecodedSplit(stack_squares(images, img_size), labels)


def _labels(table: pa.Table, file: Path) -> Array:
    """(n,) int64. ValueError if a label is not a whole number, or so high that it is no class (an identifier, say)."""
    labels = _column(table, LABEL_COLUMNS, file)
    for label in labels:
        is_class = isinstance(label, int) and 0 <= label < 100_000
        if not is_class:
            raise ValueError(f"{file}: label {label!r}, expected whole numbers from 0 to below 100000")
    return np.array(labels, np.int64)


def _column(table: pa.Table, names: Sequence[str], file: Path) -> list:
    """The values of the first of these columns that the table has. ValueError if it has none, or a value is missing."""
    for name in names:
        if name not in table.column_names:
            continue
        values = table[name].to_pylist()
        if None in values:
            row = values.index(None)
            raise ValueError(f"{file}: row {row} has no {name}")
        return values
    found = ", ".join(table.column_names)
    expected = ", ".join(names)
    raise ValueError(f"{file} has columns {found}, expected one of {expected}")


def _decode_cell(cell: object, description: str) -> Image.Image:
    content = cell
    if isinstance(cell, dict):
        content = cell.get("bytes")
    if not isinstance(content, bytes):
        raise ValueError(f"{description} holds no image bytes")
    return decode_image(content, description)


def _class_names(table: pa.Table) -> list[str]:
    """Class names from the metadata that Hugging Face's `datasets` writes; none if there are no such metadata."""
    try:
        metadata = json.loads(table.schema.metadata[b"huggingface"])
        features = metadata["info"]["features"]
        for column in LABEL_COLUMNS:
            if column in features:
                return list(features[column]["names"])
    except (TypeError, KeyError, ValueError):
        pass
    return []
