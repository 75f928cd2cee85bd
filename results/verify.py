"""`python -m results verify STUDY` reads every byte of a study and moves damaged files to its `quarantine/` folder.

The next run of the study does not see those and restores the rows that they held. A recorded study is checked alike,
and nothing of it is moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from results.identity import TrialIdentity, foreign_rows, study_identity
from results.json_fields import entry, parse_object
from results.records import TABLES
from results.settings import StudySettings
from results.store import Study
from results.table_checks import contradictions, disagreements
from results.table_reader import TableContent, in_files, without
from storage.digest import digest
from storage.folder import Folder

MAX_TRAINER_JSON_BYTES = 2**26
MAX_CHECKPOINT_BYTES = 2**34  # of one file: CAFormer-B36 takes 0.8 GB with the optimizer's moments


@dataclass(frozen=True)
class Findings:
    """What was found in a study."""

    sound: int  # number of files
    damaged: list[str]  # a line for each file
    disagreements: list[str]  # a line for each trial whose rows contradict each other
    moved: bool = True  # whether damaged files were put aside; those of a recorded study are not

    def __str__(self) -> str:
        lines = []
        for line in self.damaged:
            lines.append(f"put aside in quarantine/: {line}" if self.moved else f"left in its place: {line}")
        for line in self.disagreements:
            lines.append(f"the next run repairs: {line}" if self.moved else line)
        number = len(self.damaged)
        lines.append(f"{self.sound} files are sound, {number} {'were put aside' if self.moved else 'are damaged'}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Item:
    """A file of a study, or a folder such as a checkpoint; `folders` lead to it."""

    folders: tuple[str, ...]
    name: str
    problem: str | None = None  # None if it is sound

    def place(self, study: Folder) -> Folder:
        """The folder that it lies in."""
        for name in self.folders:
            study = study / name
        return study


def verify(study: Study) -> Findings:
    """Check every file of `study` and how its tables agree; what is damaged is moved to `quarantine/`.

    StudyBusyError while the study runs, FileNotFoundError if there is none, OSError if a file cannot be read, which
    says nothing about its content.
    """
    if not study.folder.exists("trials"):
        raise FileNotFoundError(f"no study {study.name!r} in {study.folder.parent}")
    is_recorded = study.is_recorded()
    with nullcontext() if is_recorded else study.owned():
        tables = {table: study.content(table) for table in TABLES}
        settings_items = _check_identity(study, tables)
        _check_contradictions(tables)
        items = [*settings_items, *_row_items(study, tables), *_checkpoint_items(study)]
        damaged = [item for item in items if item.problem is not None]
        if not is_recorded:
            for item in damaged:
                _quarantine(study.folder, item)
        return Findings(
            sound=len(items) - len(damaged),
            damaged=[f"{item.place(study.folder) / item.name} is damaged ({item.problem})" for item in damaged],
            disagreements=list(disagreements(tables["trials"].rows, tables["epochs"].rows)),
            moved=not is_recorded,
        )


def _check_identity(study: Study, tables: dict[str, TableContent]) -> list[_Item]:
    """study.json if there is one; takes the trials of other studies out of `tables`."""
    settings: StudySettings | None = None
    items = []
    if study.folder.exists("study.json"):
        problem = None
        try:
            settings = study.settings()
        except ValueError as error:
            problem = str(error.__cause__ or error)
        items.append(_Item((), "study.json", problem))
    trials = tables["trials"]
    identity = study_identity(settings, trials.rows)
    if identity is None:
        return items
    if settings is not None and TrialIdentity.of(settings) != identity:
        differences = TrialIdentity.of(settings).differences(identity)
        items = [_Item((), "study.json", f"no row is of it, in turn: {differences}")]
    tables["trials"] = without(trials, in_files(trials, foreign_rows(trials.rows, identity)))
    return items


def _check_contradictions(tables: dict[str, TableContent]) -> None:
    """Takes the trials whose epochs say something else out of `tables`."""
    trials = tables["trials"]
    found = contradictions(trials.rows, tables["epochs"].rows)
    tables["trials"] = without(trials, in_files(trials, found))


def _row_items(study: Study, tables: dict[str, TableContent]) -> Iterator[_Item]:
    for table, content in tables.items():
        for file in content.files:
            yield _Item((table,), file)
        for file, reason in content.damaged.items():
            yield _Item((table,), file, reason)
        for name in (study.folder / table).folders():
            if name.endswith(".parquet"):
                yield _Item((table,), name, "a folder in place of a file")


def _checkpoint_items(study: Study) -> Iterator[_Item]:
    checkpoints = study.folder / "checkpoints"
    for trial in checkpoints.folders():
        folder = checkpoints / trial
        for epoch in folder.folders():
            yield _Item(("checkpoints", trial), epoch, _checkpoint_problem(folder / epoch))


def _checkpoint_problem(folder: Folder) -> str | None:
    """What is wrong with a checkpoint, whose JSON has the digests of its files; None if it is sound."""
    try:
        trainer = parse_object(folder.read("trainer.json", MAX_TRAINER_JSON_BYTES))
        for name, written in entry(trainer, "digests", dict).items():
            content = folder.read(name, MAX_CHECKPOINT_BYTES)
            if digest(content) != written:
                return f"{name} is not what was written"
    except (ValueError, FileNotFoundError) as error:
        return f"no whole checkpoint: {error}"
    return None


def _quarantine(study: Folder, item: _Item) -> None:
    """Move a file or folder to the same place under `quarantine/`, beside what was put there before."""
    target = item.place(study / "quarantine")
    target.make()
    name = item.name
    number = 1
    while target.exists(name):
        number += 1
        name = f"{item.name}.{number}"
    item.place(study).move(item.name, target / name)
