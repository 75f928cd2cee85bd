"""A table as Parquet, Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def to_parquet(table: pd.DataFrame, notes: Mapping[str, str]) -> bytes:
    """The numbers as Parquet. `notes` says what each column means.

    The notes are stored in the metadata of the fields, and where pandas reads them into `DataFrame.attrs["columns"]`.
    """
    table = table.copy()
    table.attrs = {"columns": {str(name): notes[str(name)] for name in table}}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    fields = [field.with_metadata({"note": notes[field.name]}) for field in arrow.schema]
    schema = pa.schema(fields, arrow.schema.metadata)
    content = pa.BufferOutputStream()
    pq.write_table(arrow.cast(schema), content, write_page_checksum=True)
    return content.getvalue().to_pybytes()


def to_markdown(text: pd.DataFrame) -> str:
    """A Markdown table of text cells; all columns but the first are aligned to the right."""
    alignment = ["left"] + ["right"] * (text.shape[1] - 1)
    return text.to_markdown(index=False, colalign=alignment, disable_numparse=True)


def to_latex(text: pd.DataFrame, caption: str, label: str) -> str:
    """A LaTeX table of text cells, for the packages booktabs and graphicx.

    It is shrunk to the width of the line, and the columns that a paper has no room for are left out.
    """
    narrow = text.drop(columns=["stages 1 to 4", "p", "P(better)", "val top-1 %", "state"], errors="ignore")
    escaped = narrow.map(escape_latex).rename(columns=escape_latex)
    latex = escaped.to_latex(
        index=False,
        column_format="l" + "r" * (escaped.shape[1] - 1),
        caption=escape_latex(caption),
        label=label,
        position="t",
    )
    begin = "\\begin{tabular}"
    end = "\\end{tabular}"
    shrink = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{"
    latex = latex.replace(begin, f"\\small\n{shrink}{begin}").replace(end, f"{end}}}")
    return f"% \\usepackage{{booktabs,graphicx}}\n{latex}"


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it; `**text**` becomes bold."""
    replacements: dict[str, str | int | None] = {letter: "\\" + letter for letter in "%_&#${}"}
    replacements |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    replacements |= {"±": r"$\pm$", "<": "$<$", ">": "$>$"}
    escaped = text.translate(str.maketrans(replacements))
    is_bold = len(text) > 4 and text.startswith("**") and text.endswith("**")
    return rf"\textbf{{{escaped[2:-2]}}}" if is_bold else escaped
