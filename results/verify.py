"""`python -m results verify STUDY`: looks at every byte of a study, and puts what is damaged aside, where the next run
does not see it and repairs what was there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from results.records import ENDED, TABLES, EpochRecord, TrialRecord
from results.store import NewerSchemaError, Study
from storage.digest import digest
from storage.folder import Folder

ASIDE = "quarantine"
CHECKPOINTS, TRAINER = "checkpoints", "trainer.json"


@dataclass
class Findings:
    """How many files are sound, and what is wrong with the others: those put aside, and rows that disagree."""

    sound: int = 0
    aside: list[str] = field(default_factory=list)
    disagree: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"put aside in {ASIDE}/: {line}" for line in self.aside]
        lines += [f"the next run repairs: {line}" for line in self.disagree]
        return "\n".join([*lines, f"{self.sound} files are sound, {len(self.aside)} were put aside"])


def verify(study: Study) -> Findings:
    """Check every file of `study` and how its tables agree; what is damaged is put aside.

    StudyBusyError while it runs, FileNotFoundError if there is none.
    """
    if not study.folder.exists("trials"):
        raise FileNotFoundError(f"no study {study.name!r} in {study.folder.parent}")
    with study.owned():
        findings = Findings()
        for inside, name, problem in _files(study):
            if problem is None:
                findings.sound += 1
                continue
            _put_aside(study.folder, inside, name)
            findings.aside.append(problem)
        findings.disagree = list(_disagreements(study))
    return findings


def _files(study: Study) -> Iterator[tuple[tuple[str, ...], str, str | None]]:
    """Every file of the study: the folders that lead to it, its name, and what is wrong with it."""
    if study.folder.exists("study.json"):
        yield (), "study.json", _problem(study.settings)
    for table in TABLES:
        folder = study.folder / table
        for name in folder.names(".parquet"):
            yield (table,), name, _problem(partial(study.read, table, [name]))
    kept = study.folder / CHECKPOINTS
    for trial in kept.folders():
        for epoch in (kept / trial).folders():
            yield (CHECKPOINTS, trial), epoch, _problem(partial(_check_checkpoint, kept / trial / epoch))


def _problem(look: Callable[[], object]) -> str | None:
    """What is wrong with a file. OSError where a store is away and NewerSchemaError: nothing is wrong then."""
    try:
        look()
    except NewerSchemaError:
        raise
    except ValueError as error:
        return str(error).splitlines()[0]
    return None


def _check_checkpoint(folder: Folder) -> None:
    """ValueError unless its files are those that its JSON was written with."""
    try:
        digests = json.loads(folder.read(TRAINER))["digests"]
        wrong = [name for name in digests if digest(folder.read(name)) != digests[name]]
    except (KeyError, TypeError, AttributeError, ValueError, FileNotFoundError) as error:
        raise ValueError(f"{folder} is no whole checkpoint ({error})") from error
    if wrong:
        raise ValueError(f"{folder / wrong[0]} is not what was written")


def _put_aside(study: Folder, inside: tuple[str, ...], name: str) -> None:
    """Move a file, or a checkpoint's files, to the same place under ASIDE."""
    folder, target = study, study / ASIDE
    for part in inside:
        folder, target = folder / part, target / part
    if name in folder.folders():
        for file in (folder / name).names():
            _copy(folder / name, file, target / name)
    else:
        _copy(folder, name, target)
    folder.remove(name)


def _copy(folder: Folder, name: str, target: Folder) -> None:
    target.make()
    target.write(name, folder.read(name))


def _disagreements(study: Study) -> Iterator[str]:
    """Trials whose epochs are not all there, and epochs without a trial."""
    epochs: dict[str, list[EpochRecord]] = {}
    for row in sorted(study.records(EpochRecord), key=lambda row: row.epoch):
        epochs.setdefault(row.key, []).append(row)
    trials = {record.key: record for record in study.records(TrialRecord)}
    for key, record in trials.items():
        numbers = [row.epoch for row in epochs.get(key, [])]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{key} has epochs {numbers}"
        elif record.status in ENDED and len(numbers) != record.epoch:
            yield f"{key} is {record.status} at epoch {record.epoch} and has {len(numbers)} epochs"
        elif record.status in ENDED and numbers and epochs[key][-1].top1 != record.top1:
            yield f"{key} ended with top-1 {record.top1} and its last epoch has {epochs[key][-1].top1}"
    yield from (f"{key} has epochs and no trial" for key in epochs.keys() - trials.keys())
