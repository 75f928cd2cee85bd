"""One study: `<root>/<study>/{trials,epochs,costs}/<key>.parquet` in a folder or store, each file replaced whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa

from results.parquet_file import ALL_ROWS, decode, encode
from results.records import ENDED, TABLES, Record, TrialRecord, schema
from results.settings import StudySettings, is_study_name
from storage.folder import Folder
from storage.lock import study_lock

R = TypeVar("R", bound=Record)
Root = str | Path | Folder  # of all studies: a path, a URI of an object store, or a folder


class Study:
    """The trials of one command line.

    There is one writer, see `owned`. Readers never wait: a file holds its old rows or its new ones, never half.
    """

    def __init__(self, name: str, root: Root = "results/runs") -> None:
        """The study `name` under `root`. ValueError if the name or the URI is none."""
        if not is_study_name(name):
            raise ValueError(f"bad study name {name!r}, expected letters, digits, '.', '_' and '-', at most 100")
        studies = root if isinstance(root, Folder) else Folder(root)
        self.name = name
        self.folder = studies / name

    def begin(self, settings: StudySettings) -> None:
        """Write what the study is run with; ValueError with the difference if it holds trials of other settings."""
        trained = (self.folder / "trials").names(".parquet")
        if self.folder.exists("study.json"):
            differences = self.settings().differences(settings)
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
        """Hold the study for this process and make its folders.

        StudyBusyError if a living process holds it, OSError if it cannot be written, ValueError for a recorded study.
        """
        if (self.folder / "trials").exists(ALL_ROWS):
            raise ValueError(f"{self.folder} is a recorded study, which is only read: choose another --results")
        self.folder.make()
        for table in TABLES:
            (self.folder / table).make()
        for name in ("checkpoints", "errors", "report"):
            (self.folder / name).confine()
        with study_lock(self.name, self.folder):
            yield

    def write(self, table: str, key: str, records: Sequence[Record]) -> None:
        """Replace the file of `key` in `table` by these rows. OSError if it cannot be written."""
        content = encode(records, TABLES[table])
        (self.folder / table).write(f"{key}.parquet", content)

    def records(self, kind: type[R]) -> list[R]:
        """All rows of the table of `kind`; ValueError names a file that cannot be read."""
        rows = self._table(_table_of(kind)).to_pylist()
        return [kind(**row) for row in rows]

    def publish(self, root: Root = "results/recorded") -> Study:
        """Copy the rows to a study of the same name under `root`, in one file a table, and return that study.

        ValueError while trials run, or if a study of this name with other settings is recorded there.
        """
        published = Study(self.name, root)
        settings = self.settings()
        running = [record for record in self.records(TrialRecord) if record.status == "running"]
        if running:
            raise ValueError(f"{len(running)} trials of study {self.name!r} are not finished: run its command again")
        for table in TABLES:
            (published.folder / table).make()
        if published.folder.exists("study.json"):  # published before, perhaps by another version of the code
            settings = replace(settings, code=published.settings().code)
        published.begin(settings)
        for table, kind in TABLES.items():
            records = sorted(self.records(kind), key=_order)
            published.write(table, ALL_ROWS.removesuffix(".parquet"), records)
        return published

    def trials(self) -> pd.DataFrame:
        """One row per trial (TrialRecord)."""
        return self._table("trials").to_pandas()

    def epochs(self) -> pd.DataFrame:
        """One row per trial and epoch (EpochRecord), sorted by trial and epoch."""
        epochs = self._table("epochs").to_pandas()
        return epochs.sort_values(["key", "epoch"], ignore_index=True)

    def costs(self) -> pd.DataFrame:
        """One row per candidate and device (CostRecord)."""
        return self._table("costs").to_pandas()

    def ended(self) -> pd.DataFrame:
        """The trials that need no further training: done, paused, stopped or diverged."""
        trials = self.trials()
        has_ended = trials["status"].isin(ENDED)
        return trials[has_ended]

    def read(self, table: str, files: Sequence[str]) -> pa.Table:
        """The rows in these files of a table; ValueError names one that cannot be read."""
        folder = self.folder / table
        kind = TABLES[table]
        contents = _read_all(folder, files)
        tables = [schema(kind).empty_table()]
        for file, content in zip(files, contents, strict=True):
            table_of_file = decode(content, kind, folder / file)
            tables.append(table_of_file)
        return pa.concat_tables(tables)

    def _table(self, table: str) -> pa.Table:
        files = (self.folder / table).names(".parquet")
        return self.read(table, files)


def _table_of(kind: type) -> str:
    return next(table for table, row_class in TABLES.items() if row_class is kind)


def _order(record: Record) -> tuple[str, int]:
    return record.key, getattr(record, "epoch", 0)


def _read_all(folder: Folder, files: Sequence[str]) -> list[bytes]:
    try:
        return folder.read_all(files)
    except OSError as error:
        if folder.path is None:  # the store's trouble, not the file's
            raise
        raise ValueError(f"{error.filename} is damaged ({error}): remove it and run again") from error
