"""`python -m results verify STUDY` reads every byte of a study and moves damaged files to its `quarantine/` folder.

The next run of the study does not see those and restores the rows that they held.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from results.parquet_file import NewerSchemaError
from results.records import ENDED, TABLES, EpochRecord, TrialRecord
from results.store import Study
from storage.digest import digest
from storage.folder import Folder


@dataclass(frozen=True)
class Findings:
    """What was found in a study."""

    sound: int  # number of files
    damaged: list[str]  # a line for each file
    disagreements: list[str]  # a line for each trial whose rows contradict each other

    def __str__(self) -> str:
        lines = []
        for line in self.damaged:
            lines.append(f"put aside in quarantine/: {line}")
        for line in self.disagreements:
            lines.append(f"the next run repairs: {line}")
        lines.append(f"{self.sound} files are sound, {len(self.damaged)} were put aside")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Item:
    """A file of a study, or a checkpoint, which is a folder; `folders` lead to it."""

    folders: tuple[str, ...]
    name: str
    check: Callable[[], object]  # ValueError if it is damaged


def verify(study: Study) -> Findings:
    """Check every file of `study` and how its tables agree; what is damaged is moved to `quarantine/`.

    StudyBusyError while the study runs, FileNotFoundError if there is none.
    """
    if not study.folder.exists("trials"):
        raise FileNotFoundError(f"no study {study.name!r} in {study.folder.parent}")
    with study.owned():
        sound = 0
        damaged = []
        for item in _items(study):
            problem = _problem(item)
            if problem is None:
                sound += 1
                continue
            _quarantine(study.folder, item)
            damaged.append(problem)
        return Findings(sound, damaged, list(_disagreements(study)))


def _items(study: Study) -> Iterator[_Item]:
    """Every file and checkpoint of the study."""
    if study.folder.exists("study.json"):
        yield _Item((), "study.json", study.settings)
    for table in TABLES:
        for name in (study.folder / table).names(".parquet"):
            yield _Item((table,), name, partial(study.read, table, [name]))
    checkpoints = study.folder / "checkpoints"
    for trial in checkpoints.folders():
        folder = checkpoints / trial
        for epoch in folder.folders():
            check = partial(_check_checkpoint, folder / epoch)
            yield _Item(("checkpoints", trial), epoch, check)


def _problem(item: _Item) -> str | None:
    """What is wrong with a file, in one line, or None.

    OSError where a store is away, and NewerSchemaError, leave this function: the file may well be sound.
    """
    try:
        item.check()
    except NewerSchemaError:
        raise
    except ValueError as error:
        return str(error).splitlines()[0]
    return None


def _check_checkpoint(folder: Folder) -> None:
    """ValueError unless its files have the digests that its JSON was written with."""
    try:
        trainer = json.loads(folder.read("trainer.json"))
        changed = []
        for name, written in trainer["digests"].items():
            content = folder.read(name)
            if digest(content) != written:
                changed.append(name)
    except (KeyError, TypeError, AttributeError, ValueError, FileNotFoundError) as error:
        raise ValueError(f"{folder} is no whole checkpoint ({error})") from error
    if changed:
        raise ValueError(f"{folder / changed[0]} is not what was written")


def _quarantine(study: Folder, item: _Item) -> None:
    """Move a file, or the files of a checkpoint, to the same place under `quarantine/`."""
    source = study
    target = study / "quarantine"
    for name in item.folders:
        source = source / name
        target = target / name
    if item.name in source.folders():
        checkpoint = source / item.name
        for file in checkpoint.names():
            _copy(checkpoint, file, target / item.name)
    else:
        _copy(source, item.name, target)
    source.remove(item.name)


def _copy(source: Folder, name: str, target: Folder) -> None:
    target.make()
    target.write(name, source.read(name))


def _disagreements(study: Study) -> Iterator[str]:
    """A line for each trial whose epochs are not all there, and for each curve without a trial."""
    curves: defaultdict[str, list[EpochRecord]] = defaultdict(list)
    rows = study.records(EpochRecord)
    rows.sort(key=lambda row: row.epoch)
    for row in rows:
        curves[row.key].append(row)
    for record in study.records(TrialRecord):
        curve = curves.pop(record.key, [])
        problem = _disagreement(record, curve)
        if problem:
            yield f"{record.key} {problem}"
    for key in curves:
        yield f"{key} has epochs and no trial"


def _disagreement(record: TrialRecord, curve: list[EpochRecord]) -> str | None:
    """How a trial's row and its epochs, which are in order, contradict each other; None if they do not."""
    epochs = [row.epoch for row in curve]
    if epochs != list(range(1, len(epochs) + 1)):
        return f"has epochs {epochs}"
    if record.status not in ENDED:
        return None
    if len(epochs) != record.epoch:
        return f"is {record.status} at epoch {record.epoch} and has {len(epochs)} epochs"
    if curve and curve[-1].top1 != record.top1:
        return f"ended with top-1 {record.top1} and its last epoch has {curve[-1].top1}"
    return None
