"""One Parquet file of rows: written with checksums, and checked in every respect when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.records import SCHEMA_VERSION, TABLES, Record, schema
from storage.parquet_checksum import add_checksum, verify_checksum

# What a file may make us allocate. Snappy, which our writer uses, packs at most 22 bytes into one; a dictionary packs
# a text that all rows share into one copy, so that rows times texts bounds the rest.
CODECS = ("SNAPPY", "UNCOMPRESSED")
LARGEST_UNPACKING = 25
MAX_TEXT_BYTES = 512 * 2**20
WANTED = {kind: schema(kind) for kind in TABLES.values()}  # made once: it takes longer than to read a file


class DamagedFileError(ValueError):
    """A file is not as this code writes it."""


class NewerSchemaError(ValueError):
    """A file was written by newer code; nothing is wrong with it."""


def encode(records: Sequence[Record], kind: type[Record]) -> bytes:
    """A Parquet file with these rows of the class `kind`."""
    rows = [asdict(record) for record in records]
    table = pa.Table.from_pylist(rows, schema=schema(kind))
    content = pa.BufferOutputStream()
    pq.write_table(table, content, write_page_checksum=True)
    return add_checksum(content.getvalue())


def decode(content: bytes, kind: type[Record], max_rows: int) -> pa.Table:
    """The rows in a file's content, with the columns of `kind`; those that its writer did not know are null.

    DamagedFileError if it is not what was written or has more than `max_rows` rows, NewerSchemaError if this code is
    too old for it. The rows' values are not looked at, see row_checks.
    """
    try:
        verify_checksum(content)
        parquet = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        metadata = parquet.schema_arrow.metadata or {}
        version = metadata.get(b"schema_version", b"none").decode()
        if _is_readable(version):
            _check_size(parquet.metadata, max_rows)
            table = _read(parquet, content, WANTED[kind])
            return _with_present_statuses(table, version)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise DamagedFileError(lines[0]) from error
    raise NewerSchemaError(f"schema version {version}, this code reads {SCHEMA_VERSION} and older")


def _is_readable(version: str) -> bool:
    """Whether the first number of a schema version, such as 1 of "1.7", is not above this code's."""
    major = _major(version)
    return major.isdecimal() and int(major) <= int(SCHEMA_VERSION)


def _major(version: str) -> str:
    return version.partition(".")[0]


def _check_size(footer: pq.FileMetaData, max_rows: int) -> None:
    """ValueError if the footer announces more rows than `max_rows`, or columns that our writer does not write."""
    rows = 0
    for group_number in range(footer.num_row_groups):
        group = footer.row_group(group_number)
        rows += group.num_rows
        for column_number in range(group.num_columns):
            column = group.column(column_number)
            if column.num_values != group.num_rows or column.compression not in CODECS:
                raise ValueError(f"its column {column.path_in_schema!r:.60} is not as this code writes it")
    if rows > max_rows:
        raise ValueError(f"{rows:,} rows, expected at most {max_rows:,}")


def _read(parquet: pq.ParquetFile, content: bytes, wanted: pa.Schema) -> pa.Table:
    rows = parquet.metadata.num_rows
    if rows * len(content) * LARGEST_UNPACKING <= MAX_TEXT_BYTES:
        table = parquet.read(use_threads=False)
        if table.schema.equals(wanted):
            return table
        return _with_all_columns(table, wanted)
    texts = [column.name for column in wanted if column.type == pa.string()]
    packed = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, read_dictionary=texts)
    names = [column.name for column in wanted if column.name in parquet.schema_arrow.names]
    table = packed.read(names, use_threads=False)
    _check_texts(table)
    return _with_all_columns(table, wanted)


def _check_texts(table: pa.Table) -> None:
    """ValueError if the texts of columns that are read as dictionaries are too long when they stand in every row."""
    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            if pa.types.is_dictionary(chunk.type):
                lengths = pc.binary_length(chunk.dictionary)
                total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if total > MAX_TEXT_BYTES:
        raise ValueError(f"{total:,} bytes of text, expected at most {MAX_TEXT_BYTES:,}")


def _with_present_statuses(table: pa.Table, version: str) -> pa.Table:
    """In schema version 1, "stopped" was the status of trials that are now called "paused"."""
    if _major(version) != "1" or "status" not in table.column_names:
        return table
    status = table["status"]
    is_paused = pc.equal(status, "stopped")
    renamed = pc.if_else(is_paused, "paused", status)
    index = table.column_names.index("status")
    return table.set_column(index, table.schema.field(index), renamed)


def _with_all_columns(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """The columns of `wanted`, in its order; KeyError for a missing one that may not be null."""
    for column in wanted:
        is_missing = column.name not in table.column_names
        if is_missing and column.nullable:
            nulls = pa.nulls(len(table), column.type)
            table = table.append_column(column.name, nulls)
    return table.select(wanted.names).cast(wanted)
