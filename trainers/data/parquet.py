"""Images in Parquet files, `train.parquet` and `test.parquet` or as on the Hugging Face hub: in memory or streamed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainers.data.dataset import Array, numbered_classes
from trainers.data.decoding import ImageDecodeError, ImageReadError, decode_image, stack_squares
from trainers.data.in_memory import DecodedSplit, InMemoryDataset
from trainers.data.parquet_files import (
    IMAGE_COLUMNS,
    ParquetFiles,
    class_names,
    column_name,
    open_file,
    read_column,
    read_labels,
)
from trainers.data.streamed import ImageReader, StreamedDataset, list_in_threads


@dataclass(frozen=True, eq=False)
class ParquetReader(ImageReader):
    """Images as values of a column of bytes. Each process keeps the row group that it read last.

    `group_files` (groups,): the file (its index) of each row group; `group_starts` (groups,): its first image;
    `file_starts`: the first image of each file.
    """

    files: tuple[str, ...]
    column: str
    group_files: Array
    group_starts: Array
    file_starts: Array

    def read(self, index: int) -> Image.Image:
        group = int(np.searchsorted(self.group_starts, index, side="right")) - 1
        number = int(self.group_files[group])
        first_group = int(np.searchsorted(self.group_files, number))
        description = self.describe(index)
        try:
            cells = _read_row_group(self.files[number], group - first_group, self.column)
        except (OSError, pa.ArrowException) as error:
            raise ImageReadError.of(_as_os_error(error), description) from error
        row = index - int(self.group_starts[group])
        if row >= len(cells):
            raise ImageReadError(f"{description} cannot be read: the file is shorter than it was")
        return decode_image(_image_bytes(cells[row], description), description).convert("RGB")

    def describe(self, index: int) -> str:
        number = int(np.searchsorted(self.file_starts, index, side="right")) - 1
        return f"{self.files[number]}: row {index - int(self.file_starts[number])}"


def load_parquet(files: ParquetFiles, name: str, img_size: int) -> InMemoryDataset:
    """Every image of these files, decoded. ValueError names the file, and the row if it is one, that is not valid."""
    train = _decode_split(files.train, img_size)
    test = _decode_split(files.test, img_size)
    return InMemoryDataset.of_splits(name, _classes(files, train.labels), train=train, test=test)


def open_parquet(files: ParquetFiles, name: str) -> StreamedDataset:
    """The images of these files, of which only the labels are read. ValueError names the file that is not valid."""
    train_images, train_labels = _list_split(files.train)
    test_images, test_labels = _list_split(files.test)
    classes = _classes(files, train_labels)
    digest = hashlib.blake2b(repr(classes).encode(), digest_size=4)
    for paths, labels in ((files.train, train_labels), (files.test, test_labels)):
        names_and_sizes = [(path.name, path.stat().st_size) for path in paths]
        digest.update(repr(names_and_sizes).encode())
        digest.update(labels.tobytes())
    return StreamedDataset(
        name=name,
        classes=classes,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        listing_fingerprint=digest.hexdigest(),
    )


def _classes(files: ParquetFiles, train_labels: Array) -> tuple[str, ...]:
    for file in (files.train[0], files.test[0]):
        names = class_names(open_file(file))
        if names:
            return names
    return numbered_classes(train_labels)


def _decode_split(files: Sequence[Path], img_size: int) -> DecodedSplit:
    labels = [read_labels(open_file(file), file) for file in files]
    images = (image for file in files for image in _decode_file(file))
    return DecodedSplit(stack_squares(images, img_size), np.concatenate(labels))


def _decode_file(file: Path) -> Iterator[Image.Image]:
    cells = read_column(open_file(file), file, IMAGE_COLUMNS)
    for row, cell in enumerate(cells):
        description = f"{file}: row {row}"
        yield decode_image(_image_bytes(cell, description), description)


def _image_bytes(cell: pa.Scalar, description: str) -> bytes:
    """The bytes of a cell, which are the value or its field `bytes`. ImageDecodeError if there are none."""
    content = cell.as_py()
    if isinstance(content, dict):
        content = content.get("bytes")
    if not isinstance(content, bytes):
        raise ImageDecodeError(f"{description} holds no image bytes")
    return content


def _list_split(files: Sequence[Path]) -> tuple[ParquetReader, Array]:
    """A reader of all images in these files, and their labels (n,) as int64."""
    labels = []
    group_files = []
    group_sizes = []
    for number, (labels_of_file, sizes) in enumerate(list_in_threads(_list_file, files, threads=4)):
        labels.append(labels_of_file)
        group_files += [number] * len(sizes)
        group_sizes += sizes
    file_sizes = [len(labels_of_file) for labels_of_file in labels]
    reader = ParquetReader(
        files=tuple(str(file) for file in files),
        column=column_name(open_file(files[0]), files[0], IMAGE_COLUMNS),
        group_files=np.array(group_files),
        group_starts=_starts(group_sizes),
        file_starts=_starts(file_sizes),
    )
    return reader, np.concatenate(labels)


def _starts(sizes: Sequence[int]) -> Array:
    """The first index of each of several ranges that follow each other."""
    ends = np.cumsum(sizes)
    return ends - sizes


def _list_file(file: Path) -> tuple[Array, list[int]]:
    """The labels (n,) of a file, and the rows of each of its row groups. ValueError if a row has no image bytes."""
    opened = open_file(file)
    labels = read_labels(opened, file)
    column = _image_column(opened, file)
    sizes = []
    for number in range(opened.num_row_groups):
        group = opened.metadata.row_group(number)
        statistics = group.column(column).statistics
        if statistics is not None and statistics.null_count:
            raise ValueError(f"{file}: row group {number}: {statistics.null_count} rows have no image bytes")
        sizes.append(group.num_rows)
    return labels, sizes


def _image_column(opened: pq.ParquetFile, file: Path) -> int:
    """The index of the column of the images' bytes. ValueError if there is none."""
    name = column_name(opened, file, IMAGE_COLUMNS)
    for index in range(len(opened.schema)):
        column = opened.schema.column(index)
        is_bytes = column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "STRING"
        if is_bytes and column.max_repetition_level == 0 and column.path in (name, f"{name}.bytes"):
            return index
    raise ValueError(f"{file}: column {name} holds no image bytes")


@lru_cache(maxsize=1)  # in each process: a row group of large images may take 100 MB
def _read_row_group(file: str, group: int, column: str) -> pa.ChunkedArray:
    """A column of a row group. Arrow's threads are not used: a loader process is forked without them."""
    return _open(file).read_row_group(group, columns=[column], use_threads=False)[column]


@lru_cache(maxsize=512)  # in each process; the Hugging Face hub's ImageNet has 308 files
def _open(file: str) -> pq.ParquetFile:
    return pq.ParquetFile(file, pre_buffer=False)


def _as_os_error(error: Exception) -> OSError:
    if isinstance(error, OSError):
        return error
    return OSError(str(error).splitlines()[0])
