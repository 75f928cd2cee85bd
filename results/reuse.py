"""Takes over what other studies have trained, so that no GPU-hour is spent twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from results.records import ENDED, EpochRecord, TrialRecord
from results.store import NAME, Study
from storage.folder import Folder


def import_trials(study: Study, own: Callable[[TrialRecord], TrialRecord | None]) -> int:
    """Copy the ended trials of the studies beside this one that share key and code with a trial of its own; how many.

    Those that rungs stopped bring their checkpoints, so that they can go on here. `own` turns another study's trial
    into the one that this study would run, or None if it would not. ValueError names a file that cannot be read.
    """
    records = study.records(TrialRecord)
    known = {record.key for record in records}
    before, number = len(known), max((record.number or 0 for record in records), default=-1)
    for other in _beside(study):
        found = [record for record in other.records(TrialRecord) if record.status in ENDED and record.key not in known]
        wanted = [(record, mine) for record in found if (mine := own(record)) and _same(record, mine)]
        curves = _curves(other) if wanted else {}
        taken = [(record, mine) for record, mine in wanted if len(curves.get(record.key, [])) == record.epoch > 0]
        for record, mine in taken:
            row = replace(record, study=mine.study, space=mine.space, published=mine.published)
            number += 1
            row = replace(row, number=number, reused=record.reused or other.name, reused_epochs=record.epoch)
            study.write("epochs", record.key, curves.get(record.key, []))
            if record.status == "paused":
                _copy_checkpoints(other, study, record.key)
            study.write("trials", record.key, [row])
            known.add(record.key)
    return len(known) - before


def _same(record: TrialRecord, mine: TrialRecord) -> bool:
    return (record.key, record.code, record.budget) == (mine.key, mine.code, mine.budget)


def _beside(study: Study) -> list[Study]:
    root = study.folder.parent
    names = [name for name in root.folders() if name != study.name and NAME.fullmatch(name)]
    return [Study(name, root) for name in names if (root / name).exists("study.json")]


def _copy_checkpoints(other: Study, study: Study, key: str) -> None:
    """Where there are none, training it again gives the same epochs."""
    _copy(other.folder / "checkpoints" / key, study.folder / "checkpoints" / key)


def _copy(source: Folder, target: Folder) -> None:
    if names := source.names():
        target.make()
    for name in names:  # sorted: the JSON that makes a checkpoint of its tensors comes last
        target.write(name, source.read(name))
    for name in source.folders():
        _copy(source / name, target / name)


def _curves(study: Study) -> dict[str, list[EpochRecord]]:
    curves: dict[str, list[EpochRecord]] = {}
    for record in sorted(study.records(EpochRecord), key=lambda record: record.epoch):
        curves.setdefault(record.key, []).append(record)
    return curves
