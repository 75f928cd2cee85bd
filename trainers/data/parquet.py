"""Images in Parquet files, as `train.parquet` and `test.parquet` or as on the Hugging Face hub: in memory or streamed.

A streamed image is read alone, through an index of where each image's bytes lie. pyarrow would read a whole row group
for each image.
"""

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
from trainers.data.decoding import ImageReadError, decode_image, stack_squares
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
from trainers.data.parquet_pages import CODECS, ColumnChunk, Location, locate_values
from trainers.data.snappy_blocks import with_length
from trainers.data.streamed import ImageReader, StreamedDataset, list_in_threads

MAX_CACHED_BYTES = 2**25  # of a decompressed page; a process keeps up to four


@dataclass(frozen=True, eq=False)
class ParquetReader(ImageReader):
    """Images as values of a column of bytes.

    `locations` (n, 7): each one's file (its index) and the fields of its `Location`. `first_rows`: of the files.
    """

    files: tuple[str, ...]
    locations: Array
    first_rows: Array

    def read(self, index: int) -> Image.Image:
        number, *fields = self.locations[index].tolist()
        location = Location(*fields)
        description = self.describe(index)
        try:
            content = _read_value(self.files[number], location)
        except OSError as error:
            raise ImageReadError.of(error, description) from error
        if len(content) < location.size:
            raise ImageReadError(f"{description} cannot be read: the file is shorter than it was")
        return decode_image(content, description).convert("RGB")

    def describe(self, index: int) -> str:
        number = int(self.locations[index][0])
        return f"{self.files[number]}: row {index - int(self.first_rows[number])}"


def load_parquet(files: ParquetFiles, name: str, img_size: int) -> InMemoryDataset:
    """Every image of these files, decoded. ValueError names the file, and the row if it is one, that is not valid."""
    train = _decode_split(files.train, img_size)
    test = _decode_split(files.test, img_size)
    return InMemoryDataset.of_splits(name, _classes(files, train.labels), train=train, test=test)


def open_parquet(files: ParquetFiles, name: str) -> StreamedDataset:
    """The images of these files, located but not decoded. ValueError names the file that is not valid."""
    train_images, train_labels = _index_split(files.train)
    test_images, test_labels = _index_split(files.test)
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
        content = cell.as_py()
        if isinstance(content, dict):
            content = content.get("bytes")
        if not isinstance(content, bytes):
            raise ValueError(f"{file}: row {row} holds no image bytes")
        yield decode_image(content, f"{file}: row {row}")


def _index_split(files: Sequence[Path]) -> tuple[ParquetReader, Array]:
    """A reader of all images in these files, and their labels (n,) as int64."""
    locations = []
    labels = []
    first_rows = [0]
    for number, (locations_of_file, labels_of_file) in enumerate(list_in_threads(_index_file, files, threads=4)):
        numbers = np.full((len(labels_of_file), 1), number)
        locations.append(np.hstack([numbers, locations_of_file]))
        labels.append(labels_of_file)
        first_rows.append(first_rows[-1] + len(labels_of_file))
    reader = ParquetReader(
        files=tuple(str(file) for file in files),
        locations=np.vstack(locations),
        first_rows=np.array(first_rows[:-1]),
    )
    return reader, np.concatenate(labels)


def _index_file(file: Path) -> tuple[Array, Array]:
    """The locations (n, 6) of a file's images, and their labels (n,)."""
    opened = open_file(file)
    labels = read_labels(opened, file)
    column = _image_column(opened, file)
    locations: list[Location] = []
    with file.open("rb") as stream:
        for group in range(opened.num_row_groups):
            chunk = _column_chunk(opened, group, column)
            if chunk.codec not in CODECS:
                raise ValueError(f"{file}: images compressed by {chunk.codec}, expected {', '.join(CODECS)}")
            stream.seek(chunk.offset)
            try:
                found = locate_values(stream.read(chunk.size), chunk)
            except ValueError as error:
                raise ValueError(f"{file}: row group {group}: {error}") from error
            locations.extend(found)
    if len(locations) != len(labels):
        raise ValueError(f"{file} has {len(locations)} images, but {len(labels)} labels")
    return np.array(locations, np.int64), labels


def _image_column(opened: pq.ParquetFile, file: Path) -> int:
    """The index of the column of the images' bytes. ValueError if there is none."""
    name = column_name(opened, file, IMAGE_COLUMNS)
    for index in range(len(opened.schema)):
        column = opened.schema.column(index)
        is_bytes = column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "STRING"
        if is_bytes and column.max_repetition_level == 0 and column.path in (name, f"{name}.bytes"):
            return index
    raise ValueError(f"{file}: column {name} holds no image bytes")


def _column_chunk(opened: pq.ParquetFile, group: int, column: int) -> ColumnChunk:
    metadata = opened.metadata.row_group(group).column(column)
    offset = metadata.data_page_offset
    if metadata.has_dictionary_page:
        offset = min(offset, metadata.dictionary_page_offset)
    return ColumnChunk(
        offset=offset,
        size=metadata.total_compressed_size,
        full_size=metadata.total_uncompressed_size,
        num_values=metadata.num_values,
        codec=metadata.compression,
        max_level=opened.schema.column(column).max_definition_level,
    )


def _read_value(file: str, location: Location) -> bytes:
    """The bytes of an image, or fewer if the file ends before them."""
    codec = CODECS[location.codec]
    if codec in ("UNCOMPRESSED", "SNAPPY"):
        stored = _read_bytes(file, location.offset, location.stored)
        if codec == "UNCOMPRESSED":
            return stored
        full = _decompress(with_length(stored, location.full), location.full, codec)
    else:
        read_page = _read_page if location.full <= MAX_CACHED_BYTES else _read_page.__wrapped__
        full = read_page(file, location.offset, location.stored, location.full, codec)
    return full[location.skip : location.skip + location.size]


def _read_bytes(file: str, offset: int, size: int) -> bytes:
    with open(file, "rb") as stream:
        stream.seek(offset)
        return stream.read(size)


@lru_cache(maxsize=4)  # in each process, for data sets of few pages
def _read_page(file: str, offset: int, stored: int, full: int, codec: str) -> bytes:
    return _decompress(_read_bytes(file, offset, stored), full, codec)


def _decompress(content: bytes, full: int, codec: str) -> bytes:
    try:
        return pa.decompress(content, full, codec=codec.lower(), asbytes=True)
    except pa.ArrowException as error:
        raise OSError(f"it is not what it was: {error}") from error
