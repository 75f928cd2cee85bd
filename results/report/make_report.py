"""What a report contains: the tables, figures and page of a study, made in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from results.report import captions, figure_data, figures, paper
from results.report.device_costs import main_device
from results.report.html import page
from results.report.report_builder import ReportBuilder
from results.report.tables import result_table
from results.report.typeset import typeset_plainly
from results.settings import PublishedRow, StudySettings
from results.statistics import effects
from results.statistics.finished import finished_top1, stopped_rows
from results.statistics.significance import MARGIN
from results.store import Study


@dataclass(frozen=True)
class Report:
    """The files of a report by name (the page comes last), its tables as Markdown, and how to read them."""

    files: dict[str, bytes]
    markdown: list[str]
    legend: str


def make_report(study: Study, margin: float = MARGIN) -> Report:
    """The report of `study`; accuracies within `margin` percentage points count as equivalent.

    ValueError if its settings or rows cannot be read.
    """
    settings = study.settings()
    if not settings.baseline:
        raise ValueError(f"study {study.name!r} was begun by an older version of this code: run its command again")
    with study.read_once():
        study.check_rows(settings)
        sources = _Sources(study.name, settings, study.trials(), study.epochs(), study.costs())
    builder = ReportBuilder(captions.legend(margin))
    for table, rows in _table_rows(sources).items():
        _add_table(builder, sources, table, rows, margin)
    _add_curves(builder, sources)
    _add_effects(builder, sources)
    html = page(sources.title, sources.trials, settings, builder.sections, builder.legend)
    files = builder.files | {"report.html": html}
    return Report(files, builder.markdown, builder.legend)


@dataclass(frozen=True)
class _Sources:
    """What a study has recorded."""

    study: str
    settings: StudySettings
    trials: pd.DataFrame
    epochs: pd.DataFrame
    costs: pd.DataFrame

    @cached_property
    def title(self) -> str:
        return captions.title(self.study, self.settings)

    @cached_property
    def stopped(self) -> list[str]:
        """The placements that were stopped for futility before any of their trials finished."""
        finished = finished_top1(self.trials)
        return [placement for placement in stopped_rows(self.trials)["placement"] if placement not in finished]

    @cached_property
    def published(self) -> list[str]:
        """The published placements, each once, in the order of the tables."""
        return list(dict.fromkeys(row.placement for row in self.settings.rows))


def _table_rows(sources: _Sources) -> dict[str, list[PublishedRow]]:
    """The rows of each table: the paper's, then the table "Searched" of all placements that the paper does not print.

    The searched placements that trained longest come first, of these the most accurate, below the baseline.
    """
    tables: dict[str, list[PublishedRow]] = {}
    for row in sources.settings.rows:
        tables.setdefault(row.table, []).append(row)
    trials = sources.trials.assign(top1=sources.trials["top1"].fillna(0))
    furthest = trials.groupby("placement")[["epoch", "top1"]].max()
    ranked = furthest.sort_values(["epoch", "top1"], ascending=False).index.map(str)
    others = [placement for placement in ranked if placement not in sources.published]
    baseline = sources.settings.baseline
    if set(others) - {baseline}:
        tables["Searched"] = [
            PublishedRow(table="Searched", row=placement, heads=None, placement=placement, baseline=baseline)
            for placement in dict.fromkeys([baseline, *others])
        ]
    return tables


def _add_table(builder: ReportBuilder, sources: _Sources, table: str, rows: list[PublishedRow], margin: float) -> None:
    """A table, and below it the figure about head counts if it has rows with a head count."""
    numbers = result_table(sources.trials, sources.costs, rows, paper.published(table), margin)
    has_stopped_rows = bool(numbers["stopped_epoch"].notna().any())
    device = main_device(sources.trials)
    caption = captions.table_caption(table, sources.settings, device, has_stopped_rows=has_stopped_rows)
    stem = builder.add_table(table, captions.table_title(table), numbers, caption)
    counts = figure_data.head_counts(sources.trials, sources.costs, rows)
    if counts.empty:
        return
    trends = figure_data.head_trends(sources.trials, counts)
    with_heads = {row.placement for row in rows if row.heads is not None}
    stopped = [placement for placement in sources.stopped if placement in with_heads]
    caption = captions.head_counts_caption(trends, stopped)
    builder.add_figure(stem, counts, "head_counts", figures.draw_head_counts(counts, sources.title), caption)
    builder.add_numbers(f"{stem}_trends", trends, "head_trends")
    builder.markdown.append(f"{caption}\n")


def _add_curves(builder: ReportBuilder, sources: _Sources) -> None:
    """The learning curves once an epoch has ended, and the trade-offs once costs are measured."""
    curves = figure_data.learning_curves(sources.trials, sources.epochs, sources.published)
    if curves.empty:
        return
    builder.add_section("Learning curves and trade-offs", "Means over seeds.")
    drawing = figures.draw_learning_curves(curves, sources.settings.rungs, sources.title)
    caption = "Validation top-1: the mean over seeds, in a band from the lowest to the highest seed."
    if sources.stopped:
        caption += " The curve of a row that was stopped for futility ends there."
    builder.add_figure("learning_curves", curves, "learning_curves", drawing, caption)
    trade_offs = figure_data.trade_offs(sources.trials, sources.costs, sources.published)
    if trade_offs["images_per_second"].notna().any():
        drawing = figures.draw_trade_offs(trade_offs, sources.title)
        caption = "Test top-1 with 95 % t-intervals against cost. The Pareto front compares means, not intervals."
        caption += captions.left_out(sources.stopped)
        builder.add_figure("trade_offs", trade_offs, "trade_offs", drawing, caption)


def _add_effects(builder: ReportBuilder, sources: _Sources) -> None:
    """The Parquet files of interactions and importance, and sections about them if any effect is known."""
    baseline = sources.settings.baseline
    main_effects = effects.main_effects(sources.trials, baseline)
    interactions = effects.interactions(sources.trials, baseline)
    importance = effects.importance(sources.trials, baseline)
    builder.add_numbers("interactions", interactions, "interactions")
    builder.add_numbers("importance", importance, "importance")
    if main_effects["effect"].isna().all():
        return
    builder.add_section(
        "Which stage matters", captions.effects_caption(baseline, sources.stopped), typeset_plainly(importance)
    )
    drawing = figures.draw_effects(main_effects, sources.title)
    builder.add_figure("main_effects", main_effects, "main_effects", drawing, "Main effects with 95 % t-intervals.")
    if not interactions.empty:
        caption = "Effect: percentage points beyond the sum of the two main effects."
        builder.add_section("Which pair of stages matters", caption, typeset_plainly(interactions))
