"""What a study was begun with: the content of its `study.json`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from results.json_fields import entries, entry, optional, parse_object, scalars
from results.records import MAX_EPOCHS

STUDY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
JsonValue = str | int | float | bool | list[Any] | None


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A row of one of the paper's tables, on the backbone of the study."""

    table: str
    row: str  # its label
    heads: int | None  # its place on the axis of a figure over head counts
    placement: str
    baseline: str  # the placement that it is compared with


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a study is run with. Trials of different settings are never mixed, see `differences`."""

    space: str
    backbone: str
    data_name: str
    data_fingerprint: str
    recipe: Mapping[str, JsonValue]  # the fields of the recipe that are not at their defaults
    budget: int  # epochs of a trial
    space_file: str | None = None  # fingerprint of the user's file of mixers and spaces
    code: str | None = None  # fingerprint of the code that trains
    search: Mapping[str, JsonValue] | None = None  # which trials are run; may change within a study
    rows: tuple[PublishedRow, ...] = ()  # what the report shows; may change within a study
    baseline: str = ""  # a placement; empty in a study begun before there were reports
    rungs: tuple[int, ...] = ()  # epochs at which trials pause

    @property
    def recipe_name(self) -> str:
        return str(self.recipe["name"])

    @property
    def img_size(self) -> int:
        """Pixels of a side."""
        img_size = self.recipe["img_size"]
        assert isinstance(img_size, int)
        return img_size

    @property
    def init(self) -> str | None:
        """The weights that trials begin with; None where they are random."""
        init = self.recipe.get("init")
        return None if init is None else str(init)

    @property
    def recipe_fingerprint(self) -> str:
        """That of `Recipe.fingerprint`, which every trial's row holds: eight hexadecimal digits of the fields."""
        text = json.dumps(dict(self.recipe), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @staticmethod
    def from_json(content: bytes) -> StudySettings:
        """The settings in a `study.json`; ValueError if they are damaged."""
        return _parsed(parse_object(content))

    def to_json(self) -> bytes:
        """The content of `study.json`."""
        report = {"rows": [asdict(row) for row in self.rows], "baseline": self.baseline, "rungs": list(self.rungs)}
        content = {
            "space": self.space,
            "space_file": self.space_file,
            "backbone": self.backbone,
            "data": {"name": self.data_name, "fingerprint": self.data_fingerprint},
            "recipe": dict(self.recipe),
            "code": self.code,
            "budget": self.budget,
            "report": report,
        }
        if self.search is not None:
            content["search"] = dict(self.search)
        return json.dumps(content, indent=1).encode()

    def identity(self) -> dict[str, JsonValue]:
        """What must not change within a study, by name.

        Left out are the search and the report's rows, which do not change a trial, and the name of the data, whose
        pixels and labels have a fingerprint.
        """
        identity: dict[str, JsonValue] = {
            "backbone": self.backbone,
            "budget": self.budget,
            "code": self.code,
            "data.fingerprint": self.data_fingerprint,
            "space": self.space,
            "space_file": self.space_file,
        }
        for name, value in self.recipe.items():
            identity[f"recipe.{name}"] = value
        return identity

    def differences(self, other: StudySettings) -> str:
        """How the identity of `other` differs, such as "recipe.img_size 32, now 64"; empty if it does not."""
        before = self.identity()
        after = other.identity()
        texts = []
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                texts.append(f"{name} {before.get(name)!r}, now {after.get(name)!r}")
        return "; ".join(texts)


def is_study_name(text: str) -> bool:
    """Whether a study can have this name, which is that of its folder."""
    return re.fullmatch(STUDY_NAME, text) is not None


def _parsed(found: Mapping[str, Any]) -> StudySettings:
    data = entry(found, "data", dict)
    recipe = scalars(found, "recipe")
    entry(recipe, "name", str)
    entry(recipe, "img_size", int)
    budget = entry(found, "budget", int)
    if not 1 <= budget <= MAX_EPOCHS:
        raise ValueError(f"budget is {budget}, expected 1 to {MAX_EPOCHS:,}")
    report = optional(found, "report", dict) or {}  # missing in a study begun before there were reports
    search = None if found.get("search") is None else scalars(found, "search")
    return StudySettings(
        space=entry(found, "space", str),
        space_file=optional(found, "space_file", str),
        backbone=entry(found, "backbone", str),
        data_name=entry(data, "name", str),
        data_fingerprint=entry(data, "fingerprint", str),
        recipe=recipe,
        code=optional(found, "code", str),
        budget=budget,
        search=search,
        rows=tuple(_published_row(row) for row in entries(report, "rows", dict)),
        baseline=optional(report, "baseline", str) or "",
        rungs=tuple(entries(report, "rungs", int)),
    )


def _published_row(found: Mapping[str, Any]) -> PublishedRow:
    return PublishedRow(
        table=entry(found, "table", str),
        row=entry(found, "row", str),
        heads=optional(found, "heads", int),
        placement=entry(found, "placement", str),
        baseline=entry(found, "baseline", str),
    )
