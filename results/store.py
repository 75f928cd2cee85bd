"""One study: `<root>/<study>/{trials,epochs,costs}/<key>.parquet` in a folder or store, each file replaced whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa

from results.identity import TrialIdentity, identities
from results.parquet_file import encode
from results.records import ENDED, TABLES, Record, TrialRecord
from results.settings import StudySettings, is_study_name
from results.table_reader import ALL_ROWS, RECORDED, TableContent, read_table
from storage.folder import Folder
from storage.lock import study_lock

R = TypeVar("R", bound=Record)
MAX_SETTINGS_BYTES = 2**22  # the published rows of a study.json take 20 kB
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
        self._keeps_contents = False  # see read_once
        self._contents: dict[str, TableContent] = {}

    def begin(self, settings: StudySettings) -> None:
        """Write what the study is run with; ValueError with the difference if it holds trials of other settings.

        A study.json that was lost is written again if every row agrees with `settings`.
        """
        self._check_settings(settings)
        self.check_rows(settings)
        self.folder.write("study.json", settings.to_json())

    def _check_settings(self, settings: StudySettings) -> None:
        if not self.folder.exists("study.json"):
            return
        differences = self.settings().differences(settings)
        if differences and (self.folder / "trials").names(".parquet"):
            raise ValueError(f"study {self.name!r} was begun with {differences}; choose another name with --study")

    def check_rows(self, settings: StudySettings) -> None:
        """ValueError if the study has rows of trials that were run with other settings than these."""
        expected = TrialIdentity.of(settings)
        for identity, count in identities(self._table("trials")).items():
            differences = identity.differences(expected)
            if not differences:
                continue
            if not self.folder.exists("study.json"):
                raise ValueError(
                    f"study {self.name!r} has lost its study.json, and its rows are not of this command, in turn: "
                    f"{differences}; choose another name with --study"
                )
            raise ValueError(
                f"{count} trials of study {self.name!r} are not of its study.json, in turn: {differences}; "
                f"{self._verify_hint()}"
            )

    def settings(self) -> StudySettings:
        """What the study was begun with. FileNotFoundError if there is no study, ValueError if the file is damaged."""
        try:
            return StudySettings.from_json(self.folder.read("study.json", MAX_SETTINGS_BYTES))
        except FileNotFoundError:
            if (self.folder / "trials").names(".parquet"):
                raise FileNotFoundError(
                    f"study {self.name!r} in {self.folder.parent} has lost its study.json: run its command again"
                ) from None
            raise FileNotFoundError(f"no study {self.name!r} in {self.folder.parent}") from None
        except ValueError as error:
            raise ValueError(f"{self.folder / 'study.json'} is damaged ({error}): {self._verify_hint()}") from error

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the study for this process and make its folders.

        StudyBusyError if a living process holds it, OSError if it cannot be written, ValueError for a recorded study.
        """
        if self.is_recorded():
            raise ValueError(f"{self.folder} is a recorded study, which is only read: choose another --results")
        self.folder.make()
        for table in TABLES:
            (self.folder / table).make()
        for name in ("checkpoints", "errors", "report"):
            (self.folder / name).confine()
        with study_lock(self.name, self.folder), self.read_once():  # nobody else writes
            yield

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """Within it, each table is read once and then kept, until this process writes into it."""
        is_outermost = not self._keeps_contents
        self._keeps_contents = True
        try:
            yield
        finally:
            if is_outermost:
                self._keeps_contents = False
                self._contents.clear()

    def write(self, table: str, key: str, records: Sequence[Record]) -> None:
        """Replace the file of `key` in `table` by these rows. OSError if it cannot be written."""
        self._contents.pop(table, None)
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
            published._check_settings(replace(settings, code=published.settings().code))
        published.folder.write("study.json", settings.to_json())
        for table, kind in TABLES.items():
            records = sorted(self.records(kind), key=_order)
            if len(records) > RECORDED.max_rows:
                raise ValueError(f"{len(records):,} rows of {table}, at most {RECORDED.max_rows:,} are recorded")
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

    def content(self, table: str) -> TableContent:
        """The rows of a table's sound files, and why others are damaged."""
        if table in self._contents:
            return self._contents[table]
        folder = self.folder / table
        content = read_table(folder, table, folder.names(".parquet"))
        if self._keeps_contents:
            self._contents[table] = content
        return content

    def is_recorded(self) -> bool:
        """Whether this is a published copy, with one file for each table."""
        return (self.folder / "trials").exists(ALL_ROWS)

    def _table(self, table: str) -> pa.Table:
        """All rows; ValueError names a damaged file."""
        content = self.content(table)
        for file, reason in content.damaged.items():
            others = len(content.damaged) - 1
            more = f", and {others} more" if others else ""
            raise ValueError(f"{self.folder / table / file} is damaged ({reason}){more}: {self._verify_hint()}")
        return content.rows

    def _verify_hint(self) -> str:
        command = f"python -m results verify {self.name} --results {self.folder.parent}"
        return f"`{command}` {'checks the copy' if self.is_recorded() else 'puts it aside'}"


def _table_of(kind: type) -> str:
    return next(table for table, row_class in TABLES.items() if row_class is kind)


def _order(record: Record) -> tuple[str, int]:
    return record.key, getattr(record, "epoch", 0)
