"""Where the values of a Parquet column of bytes lie in the file, so that one of them can be read alone.

pyarrow reads row groups as a whole. The format is https://parquet.apache.org/docs/file-format/data-pages/; headers of
pages are structs in Thrift's compact protocol.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from trainers.data.dataset import Array
from trainers.data.snappy_blocks import BLOCK_SIZE, block_starts
from trainers.data.thrift import ThriftStruct, read_struct, read_varint

CODECS = ("UNCOMPRESSED", "SNAPPY", "ZSTD", "GZIP", "BROTLI")  # those that are read; locations hold the index

DATA_PAGE = 0
DICTIONARY_PAGE = 2
DATA_PAGE_V2 = 3
DETAILS = {DATA_PAGE: 5, DICTIONARY_PAGE: 7, DATA_PAGE_V2: 8}  # the field of a page's header for each kind of page

PLAIN = 0
DICTIONARY_ENCODINGS = (2, 8)  # PLAIN_DICTIONARY and RLE_DICTIONARY

Span = tuple[int, int]  # of a value in a page: its first byte, and its size in bytes


@dataclass(frozen=True)
class ColumnChunk:
    """The part of a file that holds a column of one row group. `offset` and the sizes are in bytes."""

    offset: int
    size: int
    full_size: int  # after decompressing
    num_values: int
    codec: str
    max_level: int  # the definition level of a value that is there: how many of the column and its parents are optional


class Location(NamedTuple):
    """The bytes of a file which, decompressed by a codec, hold a value, and where in them it lies."""

    offset: int
    stored: int  # bytes to read
    full: int  # bytes after decompressing
    skip: int  # the value's first byte among these
    size: int  # of the value
    codec: int


def locate_values(content: bytes, chunk: ColumnChunk) -> list[Location]:
    """The location of each value of a column chunk with this content.

    ValueError if a row has no value, or the pages are not of a kind that is understood.
    """
    locations: list[Location] = []
    dictionary: list[Location] = []
    position = 0
    view = memoryview(content)  # its slices are no copies
    try:
        while len(locations) < chunk.num_values:
            page, position = _read_page(view, position, chunk)
            if page is None:
                continue
            if page.kind == DICTIONARY_PAGE:
                spans = _plain_spans(page.values, 0, page.num_values)
                dictionary = [page.locate(span) for span in spans]
            else:
                _require_values(page, chunk.max_level, len(locations))
                locations += _locate_in_page(page, dictionary, chunk.max_level)
    except (IndexError, struct.error, pa.ArrowException, OSError) as error:
        raise ValueError(f"its pages cannot be read: {error}") from error
    return locations


@dataclass(frozen=True)
class _Page:
    """A page as it is stored, after the levels of version 2, which are never compressed."""

    kind: int
    encoding: int
    num_values: int
    levels: memoryview | None  # None: the levels are part of the values, with their length in front
    offset: int  # in the file
    stored: memoryview
    full_size: int
    codec: str

    @cached_property
    def values(self) -> memoryview:
        if self.codec == "UNCOMPRESSED":
            return self.stored
        return memoryview(pa.decompress(self.stored, self.full_size, codec=self.codec.lower()))

    @cached_property
    def _blocks(self) -> list[int] | None:
        return block_starts(self.stored) if self.codec == "SNAPPY" else None

    def locate(self, span: Span) -> Location:
        """As little of the file as can be decompressed alone: the value, or its blocks, or the whole page."""
        first, size = span
        codec = CODECS.index(self.codec)
        if self.codec == "UNCOMPRESSED":
            return Location(self.offset + first, size, size, 0, size, codec)
        if self._blocks is None:
            return Location(self.offset, len(self.stored), self.full_size, first, size, codec)
        first_block = first // BLOCK_SIZE
        last_block = max(first + size - 1, first) // BLOCK_SIZE
        start = self._blocks[first_block]
        end = self._blocks[last_block + 1]
        full_end = min((last_block + 1) * BLOCK_SIZE, self.full_size)
        full_start = first_block * BLOCK_SIZE
        return Location(self.offset + start, end - start, full_end - full_start, first - full_start, size, codec)


def _read_page(content: memoryview, position: int, chunk: ColumnChunk) -> tuple[_Page | None, int]:
    """The page that begins at `position`, or None if it holds no values, and where the next one begins."""
    fields, start = read_struct(content, position)
    end = start + fields.number(3)
    if not start <= end <= len(content):
        raise IndexError("a page ends after its column")
    kind = fields.number(1)
    if kind not in DETAILS:
        return None, end
    details = fields.child(DETAILS[kind])
    num_values = details.number(1)
    full_size = fields.number(2)
    if not 0 <= num_values <= chunk.num_values or not 0 <= full_size <= chunk.full_size:
        raise IndexError("a page is larger than its column")
    page = _Page(
        kind=kind,
        encoding=details.number(2),
        num_values=num_values,
        levels=None,
        offset=chunk.offset + start,
        stored=content[start:end],
        full_size=full_size,
        codec=chunk.codec,
    )
    if kind == DATA_PAGE_V2:
        page = _without_levels(page, details)
    return page, end


def _without_levels(page: _Page, details: ThriftStruct) -> _Page:
    """A page of version 2, with the levels that are stored before its values apart."""
    size = details.number(5) + details.number(6)
    if not 0 <= size <= min(len(page.stored), page.full_size):
        raise IndexError("levels are longer than their page")
    is_compressed = details.number(7, default=1)
    return replace(
        page,
        encoding=details.number(4),
        levels=page.stored[:size],
        offset=page.offset + size,
        stored=page.stored[size:],
        full_size=page.full_size - size,
        codec=page.codec if is_compressed else "UNCOMPRESSED",
    )


def _require_values(page: _Page, max_level: int, first_row: int) -> None:
    """ValueError if a row of the page has no value: its definition level says which parent of the value is null."""
    if not max_level:
        return
    levels = page.levels
    if levels is None:
        levels = page.values[4 : _start_of_values(page, max_level)]
    found = decode_runs(levels, max_level.bit_length(), page.num_values)
    missing = np.flatnonzero(found != max_level)
    if len(missing):
        raise ValueError(f"row {first_row + missing[0]} of it has no image bytes")


def _start_of_values(page: _Page, max_level: int) -> int:
    """Where in the decompressed page the values begin: after their levels, if these are in front with their size."""
    if page.levels is not None or not max_level:
        return 0
    (size_of_levels,) = struct.unpack_from("<I", page.values)
    return 4 + size_of_levels


def _locate_in_page(page: _Page, dictionary: list[Location], max_level: int) -> list[Location]:
    values = page.values
    start = _start_of_values(page, max_level)
    if page.encoding == PLAIN:
        return [page.locate(span) for span in _plain_spans(values, start, page.num_values)]
    if page.encoding in DICTIONARY_ENCODINGS:
        indices = decode_runs(values[start + 1 :], values[start], page.num_values)
        return [dictionary[index] for index in indices]
    raise ValueError(f"encoding {page.encoding} of images, expected PLAIN or a dictionary")


def _plain_spans(values: memoryview, position: int, number: int) -> list[Span]:
    """Values one after the other, each after its size in four bytes."""
    spans = []
    for _ in range(number):
        (size,) = struct.unpack_from("<I", values, position)
        spans.append((position + 4, size))
        position += 4 + size
    if position > len(values):
        raise IndexError("a value ends after its page")
    return spans


def decode_runs(content: bytes | memoryview, bits: int, number: int) -> Array:
    """`number` integers of so many bits from the hybrid of repeated and bit-packed runs that Parquet calls RLE."""
    if bits == 0:
        return np.zeros(number, np.int64)
    runs = []
    found = 0
    position = 0
    weights = 2 ** np.arange(bits)
    while found < number:
        header, position = read_varint(content, position)
        if header & 1:
            size = (header >> 1) * bits
            packed = np.frombuffer(content[position : position + size], np.uint8)
            digits = np.unpackbits(packed, bitorder="little")
            run = digits[: len(digits) // bits * bits].reshape(-1, bits) @ weights
        else:
            size = -(-bits // 8)
            value = int.from_bytes(content[position : position + size], "little")
            run = np.full(min(header >> 1, number - found), value)
        if not len(run):
            raise IndexError("an empty run of levels or indices")
        position += size
        found += len(run)
        runs.append(run)
    return np.concatenate(runs)[:number]
