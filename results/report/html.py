"""The page of a report: one self-contained HTML file without scripts, other files or network access."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from results.report.device_costs import main_device
from results.settings import StudySettings


@dataclass(frozen=True)
class Drawing:
    """An SVG with its caption."""

    caption: str
    svg: bytes

    @property
    def base64(self) -> str:
        """The SVG, encoded for a data URI."""
        return b64encode(self.svg).decode()


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, a caption, a table of text cells or None, and drawings."""

    title: str
    caption: str
    table: pd.DataFrame | None = None
    drawings: list[Drawing] = field(default_factory=list)


def page(title: str, trials: pd.DataFrame, settings: StudySettings, sections: list[Section], legend: str) -> bytes:
    """The page as UTF-8. While trials run, it makes the browser reload it every minute."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text())
    statuses = trials["status"].value_counts()
    counts = [f"{number} {status}" for status, number in statuses.items()]
    return template.render(
        title=title,
        running="running" in statuses,
        state=", ".join(counts) or "no trial has begun",
        facts=_facts(trials, settings),
        sections=sections,
        legend=legend,
        zip=partial(zip, strict=True),
    ).encode()


def _facts(trials: pd.DataFrame, settings: StudySettings) -> dict[str, str]:
    """How the numbers of the page were obtained; facts that are not known are left out."""
    candidates = trials["candidate"].nunique()
    seeds = trials["seed"].nunique()
    hours = trials["seconds"].sum() / 3600
    facts = {
        "space": f"{settings.space} on {settings.backbone}",
        "data": f"{settings.data_name}, fingerprint {settings.data_fingerprint}",
        "recipe": f"{settings.recipe_name}: {settings.budget} epochs at {settings.img_size} px",
        "initial weights": settings.init or "",
        "trials": f"{len(trials)}: {candidates} candidates, up to {seeds} seeds each",
        "device": main_device(trials),
        "torch": _distinct(trials["torch"]),
        "commit": _distinct(trials["commit"]),
        "training time": f"{hours:.2f} hours, summed over all trials",
    }
    return {name: value for name, value in facts.items() if value}


def _distinct(texts: pd.Series) -> str:
    return ", ".join(sorted(set(texts) - {""}))
