"""One self-contained page about a study: no script, no file beside it, nothing asked of any network."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from results.report.tables import main_device
from results.settings import StudySettings


@dataclass(frozen=True)
class Drawing:
    """An SVG and what it shows."""

    caption: str
    svg: bytes

    @property
    def base64(self) -> str:
        """The SVG as a data URI wants it."""
        return b64encode(self.svg).decode()


@dataclass(frozen=True)
class Section:
    """A part of the page: a table as text or None, then drawings."""

    title: str
    caption: str
    table: pd.DataFrame | None = None
    drawings: list[Drawing] = field(default_factory=list)


def page(title: str, trials: pd.DataFrame, settings: StudySettings, sections: list[Section], legend: str) -> bytes:
    """The page; while trials run it asks the browser to read it again every minute."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text())
    states = trials["status"].value_counts()
    return template.render(
        title=title,
        running="running" in states,
        state=", ".join(f"{number} {state}" for state, number in states.items()) or "no trial has begun",
        facts=_facts(trials, settings),
        sections=sections,
        legend=legend,
        zip=partial(zip, strict=True),
    ).encode()


def _facts(trials: pd.DataFrame, settings: StudySettings) -> dict[str, str]:
    """How the rows came to be."""
    candidates, seeds = trials["candidate"].nunique(), trials["seed"].nunique()
    facts = {
        "space": f"{settings.space} on {settings.backbone}",
        "data": f"{settings.data_name}, fingerprint {settings.data_fingerprint}",
        "recipe": f"{settings.recipe_name}: {settings.budget} epochs at {settings.img_size} px",
        "begun with": settings.init or "",
        "trials": f"{len(trials)}: {candidates} candidates, up to {seeds} seeds each",
        "device": main_device(trials),
        "torch": ", ".join(sorted(set(trials["torch"]) - {""})),
        "commit": ", ".join(sorted(set(trials["commit"]) - {""})),
        "training time": f"{trials['seconds'].sum() / 3600:.2f} hours, all trials together",
    }
    return {name: value for name, value in facts.items() if value}
