"""Writes what a study shows under its `report/`: tables, figures, and one page that holds them all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from results.report import figure_data, figures, paper
from results.report.column_docs import NOTES, TABLE, to_parquet
from results.report.html import Drawing, Section, page
from results.report.tables import main_device, result_table
from results.report.typeset import plain, to_latex, to_markdown, typeset
from results.settings import PublishedRow, StudySettings
from results.statistics import effects
from results.statistics.comparison import ALPHA, MARGIN
from results.store import Study
from storage.lock import wait_for_lock

SEARCHED = "Searched"  # the table of what the paper does not print


@dataclass
class Report:
    """The files of a report as bytes by name, the sections of its page, and the Markdown of its tables.

    `legend` says how to read any of them.
    """

    legend: str
    files: dict[str, bytes] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    markdown: list[str] = field(default_factory=list)

    def add_table(self, name: str, numbers: pd.DataFrame, text: pd.DataFrame, caption: str) -> str:
        """A table as Parquet, Markdown and LaTeX, and as a section of the page; the stem of its files' names."""
        stem, title = self._stem(name), f"{name}: {paper.TITLES.get(name, 'not in the paper')}"
        markdown = f"{title}. {caption}\n\n{to_markdown(text)}\n"
        self.files |= {
            f"{stem}.parquet": to_parquet(numbers, {column: note for column, (_, note) in TABLE.items()}),
            f"{stem}.md": f"{markdown}\n{self.legend}\n".encode(),
            f"{stem}.tex": to_latex(text, f"{title}. {caption} {self.legend}", f"tab:{stem}").encode(),
        }
        self.markdown.append(markdown)
        self.sections.append(Section(title, caption, text))
        return stem

    def _stem(self, name: str) -> str:
        stem = re.sub("[^a-z0-9]+", "", name.lower()) or "table"
        while f"{stem}.parquet" in self.files:
            stem += "-2"
        return stem

    def add_figure(self, stem: str, numbers: pd.DataFrame, kind: str, figure: figures.Figure, caption: str) -> None:
        """The points as Parquet, their columns explained by NOTES[kind], and their drawing, in the last section."""
        drawn = figures.files(figure)
        self.files[f"{stem}_points.parquet"] = to_parquet(numbers, NOTES[kind])
        self.files |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
        self.sections[-1].drawings.append(Drawing(caption, drawn["svg"]))


def write_report(study: Study, margin: float = MARGIN) -> str:
    """Write the tables, figures and page of `study`; returns its tables as Markdown and where the files are.

    `margin`, in points: within it two accuracies count as equivalent.
    """
    report, folder = make_report(study, margin), study.folder / "report"
    folder.make()
    with wait_for_lock(folder):  # a search may be refreshing the same files
        for name, content in report.files.items():
            folder.write(name, content)
    *others, page = report.files
    return "\n".join(
        [*report.markdown, f"{report.legend}\n", f"wrote {folder / page}", f"beside it: {', '.join(others)}"]
    )


def make_report(study: Study, margin: float = MARGIN) -> Report:
    """The report of `study` in memory. ValueError where its settings or rows cannot be read."""
    trials, costs, settings, report = study.trials(), study.costs(), study.settings(), Report(_legend(margin))
    if not settings.baseline:
        raise ValueError(f"study {study.name!r} was begun by an older version of this code: run its command again")
    title = f"{study.name}: {_data(settings)}"
    for name, rows in _tables(trials, settings).items():
        table = result_table(trials, costs, rows, paper.published(name), margin)
        stem = report.add_table(name, table, typeset(table), _caption(name, settings, main_device(trials)))
        if any(row.heads for row in rows):
            _add_head_counts(report, trials, costs, rows, title, stem)
    _add_curves(report, study, trials, settings, title)
    _add_effects(report, trials, settings, title)
    report.files["report.html"] = page(title, trials, settings, report.sections, report.legend)
    return report


def _tables(trials: pd.DataFrame, settings: StudySettings) -> dict[str, list[PublishedRow]]:
    """The rows of each table: the published ones, and those of the trials that are in none."""
    rows, baseline = settings.rows, settings.baseline
    tables = {name: [row for row in rows if row.table == name] for name in dict.fromkeys(r.table for r in rows)}
    known = {row.placement for row in rows}
    best = trials.assign(top1=trials["top1"].fillna(0)).groupby("placement")[["epoch", "top1"]].max()
    others = [str(name) for name in best.sort_values(["epoch", "top1"], ascending=False).index if name not in known]
    if set(others) - {baseline}:
        names = dict.fromkeys([baseline, *others])
        tables[SEARCHED] = [
            PublishedRow(table=SEARCHED, row=name, heads=None, placement=name, baseline=baseline) for name in names
        ]
    return tables


def _add_head_counts(
    report: Report, trials: pd.DataFrame, costs: pd.DataFrame, rows: list[PublishedRow], title: str, stem: str
) -> None:
    counts = figure_data.head_counts(trials, costs, rows)
    if counts.empty:
        return
    trends = figure_data.head_trends(trials, counts)
    says = "; ".join(f"{row.series}: {_slope(row)}" for row in trends.itertuples())
    caption = (
        f"Mean and 95 % t-interval of test top-1, and speed. What a doubling of the heads adds, in points: {says}."
    )
    report.add_figure(stem, counts, "head_counts", figures.draw_head_counts(counts, title), caption)
    report.files[f"{stem}_trends.parquet"] = to_parquet(trends, NOTES["head_trends"])
    report.markdown.append(f"{caption}\n")


def _slope(row: Any) -> str:
    if pd.isna(row.low):
        return "unresolved"
    return f"{row.slope:+.2f} [{row.low:+.2f}, {row.high:+.2f}], {row.verdict}"


def _add_curves(report: Report, study: Study, trials: pd.DataFrame, settings: StudySettings, title: str) -> None:
    published = list(dict.fromkeys(row.placement for row in settings.rows))
    curves = figure_data.learning_curves(trials, study.epochs(), published)
    if curves.empty:
        return
    report.sections.append(Section("Learning curves and trade-offs", "Means over seeds."))
    rungs, caption = list(settings.rungs), "Validation top-1; bands from the lowest to the highest seed."
    drawing = figures.draw_learning_curves(curves, rungs, title)
    report.add_figure("learning_curves", curves, "learning_curves", drawing, caption)
    front = figure_data.trade_offs(trials, study.costs(), published)
    if front["images_per_second"].notna().any():
        caption = "Test top-1 with 95 % t-intervals against cost; the front joins means, whatever their intervals."
        report.add_figure("trade_offs", front, "trade_offs", figures.draw_trade_offs(front, title), caption)


def _add_effects(report: Report, trials: pd.DataFrame, settings: StudySettings, title: str) -> None:
    baseline = settings.baseline
    main, pairs = effects.main_effects(trials, baseline), effects.interactions(trials, baseline)
    share = effects.importance(trials, baseline)
    report.files |= {
        "interactions.parquet": to_parquet(pairs, NOTES["interactions"]),
        "importance.parquet": to_parquet(share, NOTES["importance"]),
    }
    if main["effect"].isna().all():
        return
    caption = (
        "Linear model of test top-1 fitted on the finished trials: effects are points against the baseline's mixer or "
        f"switch ({baseline}), the rest equal, with 95 % t-intervals and each p for itself. Share: of the variance, "
        "what the model explains only with that factor; a pair of stages beyond both of its stages."
    )
    report.sections.append(Section("Which stage matters", caption, plain(share)))
    report.add_figure("main_effects", main, "main_effects", figures.draw_effects(main, title), "Main effects.")
    if not pairs.empty:
        report.sections.append(Section("Which pair of stages matters", "Points beyond both effects.", plain(pairs)))


def _data(settings: StudySettings) -> str:
    return f"{settings.data_name} at {settings.img_size} px, recipe {settings.recipe_name}"


def _start(settings: StudySettings) -> str:
    """What the trials began with, if not with random weights."""
    init = settings.init
    return f" from weights {init} (which favour the token mixers that they hold)" if init else ""


def _epochs(settings: StudySettings) -> str:
    return f"{settings.budget} epoch{'s' if settings.budget > 1 else ''}"


def _caption(table: str, settings: StudySettings, device: str) -> str:
    return (
        f"Ours: {settings.backbone} on {_data(settings)}{_start(settings)}, {_epochs(settings)}, mean ± sd over the "
        f"seeds that ran to the end; images/s at inference: {device or 'not measured'}. {paper.SAYS.get(table, '')}"
    ).rstrip()


def _legend(margin: float) -> str:
    """How to read any of the tables."""
    return (
        "Difference: to the baseline row, with its nominal 95 % bootstrap interval (BCa; too narrow below 10 seeds). "
        f"Verdict: at {ALPHA:g} after Holm's correction (p) over the table, equivalent within {margin:g} points; in "
        "brackets how many seeds an arm would resolve the difference; a row with diverged seeds stays unresolved. "
        "P(better): that a seed of the row beats one of the baseline. Bold: the highest mean and what is not resolved "
        "from it, unless that is all."
    )
