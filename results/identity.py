"""What all trials of a study have in common, as their rows and as `study.json` say it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import pyarrow as pa

from results.settings import StudySettings


@dataclass(frozen=True, kw_only=True)
class TrialIdentity:
    """The settings of a study that each of its trials' rows repeats. Trials that differ in one are never mixed."""

    space: str
    backbone: str
    recipe: str
    recipe_fingerprint: str
    data_fingerprint: str
    budget: int
    code: str | None

    @classmethod
    def of(cls, settings: StudySettings) -> TrialIdentity:
        """What every row of a study with these settings says."""
        return cls(
            space=settings.space,
            backbone=settings.backbone,
            recipe=settings.recipe_name,
            recipe_fingerprint=settings.recipe_fingerprint,
            data_fingerprint=settings.data_fingerprint,
            budget=settings.budget,
            code=settings.code,
        )

    def differences(self, other: TrialIdentity) -> str:
        """How `other` differs, such as "budget 2 and 3"; empty if it does not."""
        mine = asdict(self)
        others = asdict(other)
        return ", ".join(f"{name} {mine[name]!r} and {others[name]!r}" for name in mine if mine[name] != others[name])


IDENTITY_COLUMNS = [field.name for field in fields(TrialIdentity)]


def identities(trials: pa.Table) -> dict[TrialIdentity, int]:
    """The identities of a table of trials, each with its number of rows, the most frequent first."""
    groups = trials.group_by(IDENTITY_COLUMNS, use_threads=False).aggregate([([], "count_all")])
    found = {}
    for group in groups.sort_by([("count_all", "descending")]).to_pylist():
        count = group.pop("count_all")
        found[TrialIdentity(**group)] = count
    return found


def study_identity(settings: StudySettings | None, trials: pa.Table) -> TrialIdentity | None:
    """Of which study these rows are: of that of its `settings`, but if no row agrees with them, of that of most rows.

    None if there are neither settings nor rows.
    """
    found = identities(trials)
    if settings is not None:
        expected = TrialIdentity.of(settings)
        if expected in found or not found:
            return expected
    return next(iter(found), None)


def foreign_rows(trials: pa.Table, identity: TrialIdentity) -> dict[int, str]:
    """The rows of other studies than that of `identity`, by number, and how they differ."""
    others = {other: other.differences(identity) for other in identities(trials) if other != identity}
    if not others:
        return {}
    rows = trials.select(IDENTITY_COLUMNS).to_pylist()
    found = {}
    for number, row in enumerate(rows):
        differences = others.get(TrialIdentity(**row))
        if differences:
            found[number] = f"it is not of this study, in turn: {differences}"
    return found
