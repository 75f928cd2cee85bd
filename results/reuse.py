"""Imports trials that other studies have trained in the same way, so that no GPU-hour is spent twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from results.records import ENDED, EpochRecord, TrialRecord, without_forecast
from results.settings import is_study_name
from results.store import Study
from storage.folder import Folder


def import_trials(study: Study, counterpart: Callable[[TrialRecord], TrialRecord | None]) -> int:
    """Copy ended trials of the studies beside this one, and return how many.

    `counterpart(other)` is this study's trial that `other` can replace, or None; the two must have the same key, code
    and budget. ValueError names a file that cannot be read.
    """
    known_keys = set()
    highest = -1
    for record in study.records(TrialRecord):
        known_keys.add(record.key)
        highest = max(highest, record.number or 0)
    imported = 0
    for other in _studies_beside(study):
        for match in _matches(other, known_keys, counterpart):
            imported += 1
            _import(study, other, match, number=highest + imported)
            known_keys.add(match.record.key)
    return imported


@dataclass(frozen=True)
class _Match:
    """A trial of another study with its epochs, and the trial of this study that it replaces."""

    record: TrialRecord
    epochs: list[EpochRecord]
    replaced: TrialRecord


def _studies_beside(study: Study) -> list[Study]:
    root = study.folder.parent
    studies = []
    for name in root.folders():
        if name != study.name and is_study_name(name) and (root / name).exists("study.json"):
            studies.append(Study(name, root))
    return studies


def _matches(
    other: Study, known_keys: set[str], counterpart: Callable[[TrialRecord], TrialRecord | None]
) -> list[_Match]:
    """The trials of `other` that this study can import: ended, trained in the same way, and with all epochs."""
    pairs = []
    for record in other.records(TrialRecord):
        if record.status not in ENDED or record.key in known_keys:
            continue
        mine = counterpart(record)
        if mine and _is_trained_alike(record, mine):
            pairs.append((record, mine))
    if not pairs:  # its epochs are not read in vain
        return []
    curves = _curves(other)
    matches = [_Match(record, curves[record.key], mine) for record, mine in pairs]
    return [match for match in matches if len(match.epochs) == match.record.epoch > 0]


def _is_trained_alike(record: TrialRecord, other: TrialRecord) -> bool:
    same_key = record.key == other.key
    same_code = record.code == other.code
    same_budget = record.budget == other.budget
    return same_key and same_code and same_budget


def _import(study: Study, other: Study, match: _Match, number: int) -> None:
    """Write the trial's row last: without it, a copy that was interrupted is made again.

    A trial that the other study stopped was judged by that study's baseline; here it is paused, to be judged again.
    """
    status = "paused" if match.record.status == "stopped" else match.record.status
    row = replace(
        without_forecast(match.record),
        status=status,
        study=match.replaced.study,
        space=match.replaced.space,
        published=match.replaced.published,
        number=number,
        reused=match.record.reused or other.name,
        reused_epochs=match.record.epoch,
    )
    study.write("epochs", row.key, match.epochs)
    if row.status == "paused":  # it can be promoted here; without its checkpoint it would be trained from the start
        _copy_tree(other.folder / "checkpoints" / row.key, study.folder / "checkpoints" / row.key)
    study.write("trials", row.key, [row])


def _curves(study: Study) -> defaultdict[str, list[EpochRecord]]:
    """The epochs of each trial, by its key, in order."""
    curves: defaultdict[str, list[EpochRecord]] = defaultdict(list)
    rows = study.records(EpochRecord)
    rows.sort(key=lambda row: row.epoch)
    for row in rows:
        curves[row.key].append(row)
    return curves


def _copy_tree(source: Folder, target: Folder) -> None:
    """Copy all files. A checkpoint's JSON, without which it does not count, comes last as names are sorted."""
    names = source.names()
    if names:
        target.make()
    for name in names:
        target.write(name, source.read(name))
    for name in source.folders():
        _copy_tree(source / name, target / name)
