"""What a study was begun with: the content of its `study.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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

    @staticmethod
    def from_json(content: bytes) -> StudySettings:
        """The settings in a `study.json`; ValueError if they are damaged."""
        found = json.loads(content)
        required = {"backbone", "budget", "data", "recipe", "space"}
        if not isinstance(found, dict) or required - found.keys():
            raise ValueError(f"expected {', '.join(sorted(required))}")
        try:
            return _parsed(found)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"unexpected content ({type(error).__name__}: {error})") from error

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
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) is not None


def _parsed(content: dict[str, Any]) -> StudySettings:
    report = content.get("report") or {}  # missing in a study begun before there were reports
    rows = tuple(PublishedRow(**row) for row in report.get("rows", []))
    recipe = content["recipe"]
    if {"name", "img_size"} - recipe.keys():
        raise ValueError("expected name and img_size in recipe")
    return StudySettings(
        space=content["space"],
        space_file=content.get("space_file"),
        backbone=content["backbone"],
        data_name=content["data"]["name"],
        data_fingerprint=content["data"]["fingerprint"],
        recipe=recipe,
        code=content.get("code"),
        budget=content["budget"],
        search=content.get("search"),
        rows=rows,
        baseline=report.get("baseline", ""),
        rungs=tuple(report.get("rungs", [])),
    )
