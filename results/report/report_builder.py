"""Collects the parts of a report: its files, the sections of its page, and its tables as Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from results.report import figure_style
from results.report.column_docs import NOTES, TABLE
from results.report.file_formats import to_latex, to_markdown, to_parquet
from results.report.html import Drawing, Section
from results.report.typeset import typeset


@dataclass
class ReportBuilder:
    """The parts of a report so far. `legend` explains the columns of its tables."""

    legend: str
    files: dict[str, bytes] = field(default_factory=dict)  # contents by file name
    sections: list[Section] = field(default_factory=list)
    markdown: list[str] = field(default_factory=list)

    def add_table(self, name: str, title: str, numbers: pd.DataFrame, caption: str) -> str:
        """Add a result table as a section and as Parquet, Markdown and LaTeX files.

        Returns the files' name without suffix: `table5` for "Table 5".
        """
        stem = self._unused_stem(name)
        text = typeset(numbers)
        notes = {column: description.note for column, description in TABLE.items()}
        markdown = f"{title}. {caption}\n\n{to_markdown(text)}\n"
        latex = to_latex(text, f"{title}. {caption} {self.legend}", label=f"tab:{stem}")
        self.files[f"{stem}.parquet"] = to_parquet(numbers, notes)
        self.files[f"{stem}.md"] = f"{markdown}\n{self.legend}\n".encode()
        self.files[f"{stem}.tex"] = latex.encode()
        self.markdown.append(markdown)
        self.sections.append(Section(title, caption, text))
        return stem

    def add_section(self, title: str, caption: str, text: pd.DataFrame | None = None) -> None:
        """Add a section to the page; the figures that are added next belong to it."""
        self.sections.append(Section(title, caption, text))

    def add_numbers(self, stem: str, numbers: pd.DataFrame, kind: str) -> None:
        """Add a Parquet file; `kind` is the entry of column_docs.NOTES that explains its columns."""
        self.files[f"{stem}.parquet"] = to_parquet(numbers, NOTES[kind])

    def add_figure(self, stem: str, data: pd.DataFrame, kind: str, figure: Figure, caption: str) -> None:
        """Add a figure to the last section, and as SVG, PNG and the Parquet of its data (explained as NOTES[kind])."""
        self.add_numbers(f"{stem}_points", data, kind)
        drawn = figure_style.files(figure)
        for suffix, content in drawn.items():
            self.files[f"{stem}.{suffix}"] = content
        self.sections[-1].drawings.append(Drawing(caption, drawn["svg"]))

    def _unused_stem(self, name: str) -> str:
        stem = re.sub("[^a-z0-9]+", "", name.lower()) or "table"
        while f"{stem}.parquet" in self.files:
            stem += "-2"
        return stem
