"""One study: `<root>/<study>/{trials,epochs,costs}/<key>.parquet` in a folder or store, each file replaced whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.records import ENDED, SCHEMA_VERSION, TABLES, Record, schema
from results.settings import StudySettings
from storage.folder import Folder
from storage.lock import study_lock
from storage.parquet_checksum import add_checksum, verify_checksum

R = TypeVar("R", bound=Record)

RUNS, RECORDED = Path("results/runs"), Path("results/recorded")
RECORD = "all.parquet"  # the one file of a table of a recorded study
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class NewerSchemaError(ValueError):
    """A file was written by newer code; nothing is wrong with it."""


class Study:
    """The trials of one command line. Reading never waits for writing, and a file is either old or new, never half."""

    def __init__(self, name: str, root: str | Path | Folder = RUNS) -> None:
        """`root`: the folder of the studies, or its URI. ValueError if that or the name is none."""
        if not NAME.fullmatch(name):
            raise ValueError(f"bad study name {name!r}, expected letters, digits, '.', '_' and '-', at most 100")
        self.name, self.folder = name, (root if isinstance(root, Folder) else Folder(root)) / name

    def begin(self, settings: StudySettings) -> None:
        """Write what the study is run with; ValueError with the difference if it holds trials of other settings."""
        trained = any((self.folder / "trials").names(".parquet"))
        before = self.settings() if self.folder.exists("study.json") else settings
        differences = before.differences(settings)
        if trained and differences:
            raise ValueError(f"study {self.name!r} was begun with {differences}; choose another name with --study")
        self.folder.write("study.json", settings.to_json())

    def settings(self) -> StudySettings:
        """What the study was begun with. FileNotFoundError if there is no study, ValueError if the file is damaged."""
        try:
            return StudySettings.from_json(self.folder.read("study.json"))
        except FileNotFoundError:
            raise FileNotFoundError(f"no study {self.name!r} in {self.folder.parent}") from None
        except ValueError as error:
            raise ValueError(f"{self.folder / 'study.json'} is damaged: {error}") from error

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the study for this process, making its folders; StudyBusyError if a living process holds it.

        A dead owner's hold ends: see results/lock.py. OSError if it cannot be written, ValueError for a recorded study.
        """
        if (self.folder / "trials").exists(RECORD):
            raise ValueError(f"{self.folder} is a recorded study, which is only read: choose another --results")
        for table in TABLES:
            (self.folder / table).make()
        for written in ("checkpoints", "errors", "report"):
            (self.folder / written).confine()
        with study_lock(self.name, self.folder):
            yield

    def write(self, table: str, key: str, records: Sequence[Record]) -> None:
        """Replace the file of `key` in `table` by these rows."""
        rows = [asdict(record) for record in records]
        content = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema(TABLES[table])), content, write_page_checksum=True)
        (self.folder / table).write(f"{key}.parquet", add_checksum(content.getvalue()))

    def records(self, kind: type[R]) -> list[R]:
        """All rows of the table of `kind`; ValueError names a file that cannot be read."""
        table = next(name for name, record in TABLES.items() if record is kind)
        return [kind(**row) for row in self._table(table).to_pylist()]

    def publish(self, root: str | Path | Folder = RECORDED) -> Study:
        """Copy the rows to the study of this name under `root`, one file a table; that study.

        ValueError while trials run, or if another study of this name is recorded there.
        """
        other, settings = Study(self.name, root), self.settings()
        if running := (self.trials()["status"] == "running").sum():
            raise ValueError(f"{running} trials of study {self.name!r} are not finished: run its command again")
        for table in TABLES:
            (other.folder / table).make()
        if other.folder.exists("study.json"):  # published before, perhaps by another version of the code
            settings = replace(settings, code=other.settings().code)
        other.begin(settings)
        for table, kind in TABLES.items():
            other.write(table, Path(RECORD).stem, sorted(self.records(kind), key=_order))
        return other

    def trials(self) -> pd.DataFrame:
        """One row per trial (TrialRecord)."""
        return self._table("trials").to_pandas()

    def epochs(self) -> pd.DataFrame:
        """One row per trial and epoch (EpochRecord)."""
        return self._table("epochs").to_pandas().sort_values(["key", "epoch"], ignore_index=True)

    def costs(self) -> pd.DataFrame:
        """One row per candidate and device (CostRecord)."""
        return self._table("costs").to_pandas()

    def ended(self) -> pd.DataFrame:
        """The trials that need no further training: done, paused, stopped or diverged."""
        trials = self.trials()
        return trials[trials["status"].isin(ENDED)]

    def _table(self, table: str) -> pa.Table:
        return self.read(table, (self.folder / table).names(".parquet"))

    def read(self, table: str, names: Sequence[str]) -> pa.Table:
        """The rows of these files of a table; ValueError names one that cannot be read."""
        wanted, folder = schema(TABLES[table]), self.folder / table
        tables = [
            _parse(folder / name, content, wanted) for name, content in zip(names, _read(folder, names), strict=True)
        ]
        return pa.concat_tables([*tables, wanted.empty_table()])


def _order(record: Record) -> tuple[str, int]:
    return record.key, getattr(record, "epoch", 0)


def _read(folder: Folder, names: Sequence[str]) -> list[bytes]:
    try:
        return folder.read_all(names)
    except OSError as error:
        if folder.path is None:  # the store's trouble, not the file's
            raise
        raise ValueError(f"{error.filename} is damaged ({error}): remove it and run again") from error


def _parse(file: Folder, content: bytes, wanted: pa.Schema) -> pa.Table:
    try:
        verify_checksum(content)
        parquet = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        version = (parquet.schema_arrow.metadata or {}).get(b"schema_version", b"none").decode()
        if _readable(version):
            return _checked(_completed(_upgraded(parquet.read(), version), wanted), file.name)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({str(error).splitlines()[0]}): remove it and run again") from error
    raise NewerSchemaError(f"{file} has schema version {version}, this code reads {SCHEMA_VERSION} and older")


def _readable(version: str) -> bool:
    """Whether the first number of a file's schema version is not above ours."""
    major = version.partition(".")[0]
    return major.isdecimal() and int(major) <= int(SCHEMA_VERSION.partition(".")[0])


def _upgraded(table: pa.Table, version: str) -> pa.Table:
    """The table as the present version writes it: in version 1, "stopped" was the status of a paused trial."""
    if version.partition(".")[0] != "1" or "status" not in table.column_names:
        return table
    status = table["status"]
    renamed = pc.if_else(pc.equal(status, "stopped"), "paused", status)
    return table.set_column(table.column_names.index("status"), "status", renamed)


def _completed(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """With nulls for the columns that its writer did not know."""
    for column in wanted:
        if column.name not in table.column_names and column.nullable:
            table = table.append_column(column.name, pa.nulls(len(table), column.type))
    return table.select(wanted.names).cast(wanted)


def _checked(table: pa.Table, name: str) -> pa.Table:
    """ValueError for rows that do not belong into a file of this name: what they say becomes names of files."""
    for column, texts in ((c, table[c].unique().to_pylist()) for c in ("key", "study") if c in table.column_names):
        for text in texts:
            if column == "study" and not NAME.fullmatch(text):
                raise ValueError(f"study {text!r:.60}")
            if column == "key" and name != RECORD and f"{text}.parquet" != name:
                raise ValueError(f"its rows are of {text!r:.60}")
    return table
