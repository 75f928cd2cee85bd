"""One Parquet file of rows: written with checksums, and checked in every respect when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.records import SCHEMA_VERSION, Record, schema
from results.settings import is_study_name
from storage.folder import Folder
from storage.parquet_checksum import add_checksum, verify_checksum

ALL_ROWS = "all.parquet"  # the one file of a table of a recorded study


class NewerSchemaError(ValueError):
    """A file was written by newer code; nothing is wrong with it."""


def encode(records: Sequence[Record], kind: type[Record]) -> bytes:
    """A Parquet file with these rows of the class `kind`."""
    rows = [asdict(record) for record in records]
    table = pa.Table.from_pylist(rows, schema=schema(kind))
    content = pa.BufferOutputStream()
    pq.write_table(table, content, write_page_checksum=True)
    return add_checksum(content.getvalue())


def decode(content: bytes, kind: type[Record], file: Folder) -> pa.Table:
    """The rows in the content of `file`, with the columns of `kind`; those that its writer did not know are null.

    ValueError names the file if it is damaged, NewerSchemaError if this code is too old for it.
    """
    try:
        verify_checksum(content)
        source = pa.BufferReader(content)
        parquet = pq.ParquetFile(source, page_checksum_verification=True)
        metadata = parquet.schema_arrow.metadata or {}
        version = metadata.get(b"schema_version", b"none").decode()
        if _is_readable(version):
            table = parquet.read()
            table = _with_present_statuses(table, version)
            table = _with_all_columns(table, schema(kind))
            _check_names(table, file.name)
            return table
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} is damaged ({reason}): remove it and run again") from error
    raise NewerSchemaError(f"{file} has schema version {version}, this code reads {SCHEMA_VERSION} and older")


def _is_readable(version: str) -> bool:
    """Whether the first number of a schema version, such as 1 of "1.7", is not above this code's."""
    major = _major(version)
    return major.isdecimal() and int(major) <= int(SCHEMA_VERSION)


def _major(version: str) -> str:
    return version.partition(".")[0]


def _with_present_statuses(table: pa.Table, version: str) -> pa.Table:
    """In schema version 1, "stopped" was the status of trials that are now called "paused"."""
    if _major(version) != "1" or "status" not in table.column_names:
        return table
    status = table["status"]
    is_paused = pc.equal(status, "stopped")
    renamed = pc.if_else(is_paused, "paused", status)
    index = table.column_names.index("status")
    return table.set_column(index, "status", renamed)


def _with_all_columns(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """The columns of `wanted`, in its order; KeyError for a missing one that may not be null."""
    for column in wanted:
        is_missing = column.name not in table.column_names
        if is_missing and column.nullable:
            nulls = pa.nulls(len(table), column.type)
            table = table.append_column(column.name, nulls)
    return table.select(wanted.names).cast(wanted)


def _check_names(table: pa.Table, file: str) -> None:
    """ValueError for rows that do not belong into `file`. Their keys and studies become names of files elsewhere."""
    keys = table["key"].unique()
    for key in keys.to_pylist():
        if file not in (ALL_ROWS, f"{key}.parquet"):
            raise ValueError(f"its rows are of {key!r:.60}")
    if "study" in table.column_names:
        studies = table["study"].unique()
        for study in studies.to_pylist():
            if not is_study_name(study):
                raise ValueError(f"study {study!r:.60}")
