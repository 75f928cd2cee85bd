"""Reads the files of one table of a study, several at a time, and tells sound ones from damaged ones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from results.parquet_file import DamagedFileError, NewerSchemaError, decode
from results.records import MAX_EPOCHS, TABLES, schema
from results.row_checks import problems
from storage.folder import Folder
from storage.regular_file import UnusableFileError

ALL_ROWS = "all.parquet"  # the one file of a table of a recorded study
BATCH = 256  # files whose rows are held apart: a table of one row takes 30 kB, the same row in a large table 300 bytes


@dataclass(frozen=True)
class SizeLimits:
    """The largest file of rows that we write, with room to spare. What is larger is not read."""

    max_bytes: int
    max_rows: int


SINGLE_ROW = SizeLimits(2**20, 1)  # of a trial or a cost: 10 kB
EPOCHS = SizeLimits(2**24, MAX_EPOCHS)  # of one trial: 60 bytes an epoch
RECORDED = SizeLimits(2**28, 2_000_000)  # of all trials: epochs of 20,000 trials of 100


def limits(table: str, file: str) -> SizeLimits:
    """How large this file may be."""
    if file == ALL_ROWS:
        return RECORDED
    return EPOCHS if table == "epochs" else SINGLE_ROW


@dataclass(frozen=True)
class TableContent:
    """The rows of the files that are sound, and why others are not, by file name."""

    rows: pa.Table
    files: list[str]  # those that are sound
    file_of_row: NDArray[np.int64]  # index into `files`
    damaged: dict[str, str]


def read_table(folder: Folder, table: str, files: Sequence[str]) -> TableContent:
    """Read these files of a table, which lie in `folder`.

    OSError if one cannot be read, which is not its fault, and NewerSchemaError if newer code has written it.
    """
    parts = [schema(TABLES[table]).empty_table()]
    lengths = {}
    damaged = {}
    with ThreadPoolExecutor(8) as pool:  # they mostly wait for disks, NFS servers and object stores
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            tables = []
            outcomes = pool.map(partial(_read_file, folder, table), batch)
            for file, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, DamagedFileError):
                    damaged[file] = str(outcome)
                else:
                    lengths[file] = len(outcome)
                    tables.append(outcome)
            if tables:
                parts.append(pa.concat_tables(tables).combine_chunks())
    file_of_row = np.repeat(np.arange(len(lengths)), list(lengths.values()))
    content = TableContent(pa.concat_tables(parts).combine_chunks(), list(lengths), file_of_row, damaged)
    content = without(content, _misplaced(content))
    return without(content, in_files(content, problems(content.rows, TABLES[table])))


def _read_file(folder: Folder, table: str, file: str) -> pa.Table | DamagedFileError:
    """The rows of one file, or why it is damaged."""
    limit = limits(table, file)
    try:
        content = folder.read(file, limit.max_bytes)
        return decode(content, TABLES[table], limit.max_rows)
    except NewerSchemaError as error:
        raise NewerSchemaError(f"{folder / file} has {error}") from None
    except (DamagedFileError, UnusableFileError) as error:
        return DamagedFileError(str(error))


def without(content: TableContent, damaged: dict[str, str]) -> TableContent:
    """`content` without the rows of files that are `damaged`, by name with the reason."""
    if not damaged:
        return content
    kept = [file for file in content.files if file not in damaged]
    new_index = {file: index for index, file in enumerate(kept)}
    renumbered = np.array([new_index.get(file, -1) for file in content.files], dtype=np.int64)
    file_of_row = renumbered[content.file_of_row]
    is_kept = file_of_row >= 0
    rows = content.rows.filter(pa.array(is_kept))
    return TableContent(rows, kept, file_of_row[is_kept], {**content.damaged, **damaged})


def _misplaced(content: TableContent) -> dict[str, str]:
    """The files that hold rows of another key than their name says. Keys become names of files elsewhere."""
    stems = pa.array([file.removesuffix(".parquet") for file in content.files], pa.string())
    expected = stems.take(pa.array(content.file_of_row))
    keys = content.rows["key"].combine_chunks()
    is_recorded = pc.equal(expected, ALL_ROWS.removesuffix(".parquet"))
    is_right = pc.or_(pc.equal(keys, expected), is_recorded)
    found = {}
    for row in np.flatnonzero(~pc.fill_null(is_right, False).to_numpy(zero_copy_only=False)).tolist():
        found[row] = f"its rows are of {keys[row].as_py()!r:.60}"
    return in_files(content, found)


def in_files(content: TableContent, found: dict[int, str]) -> dict[str, str]:
    """Problems of rows as problems of their files: the first one of each."""
    damaged: dict[str, str] = {}
    for row in sorted(found):
        damaged.setdefault(content.files[content.file_of_row[row]], found[row])
    return damaged
