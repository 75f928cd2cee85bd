"""A table of results as text: one string per cell, then Markdown, LaTeX or HTML."""

from __future__ import annotations

from typing import Any

import pandas as pd

MISSING = "-"


def typeset(table: pd.DataFrame) -> pd.DataFrame:
    """The cells as text. `**` marks the highest mean and all that are not resolved from it, unless those are all."""
    some = table["tied_best"].any() and not table["tied_best"][table["test_top1"].notna()].all()
    rows: list[Any] = list(table.itertuples())
    text = pd.DataFrame(
        {
            "row": table["row"].where(table["row"] != table["placement"], table["placement"].map(spell)),
            "stages 1 to 4": table["placement"].map(spell),
            "test top-1 %": [_bold(_with_sd(row.test_top1, row.test_sd), bool(some and row.tied_best)) for row in rows],
            "seeds": table["seeds"].map(str),
            "difference": [_interval(row) for row in rows],
            "verdict": [_verdict(row) for row in rows],
            "p": table["p"].map(_probability),
            "P(better)": table["p_better"].map(_probability),
            "paper": [_paper(row) for row in rows],
            "params": table["num_params"].map(_short),
            "FLOPs": table["flops"].map(_short),
            "images/s": table["images_per_second"].map(lambda n: MISSING if pd.isna(n) else f"{n:,.0f}"),
            "val top-1 %": table["val_top1"].map(_decimals),
            "state": table["status"],
        }
    )
    told = {"stages 1 to 4": table["row"].eq(table["placement"]).all(), "state": table["status"].eq("done").all()}
    return text.drop(columns=[name for name, needless in told.items() if needless])


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Any table as text, numbers with two decimals, columns named p as probabilities."""
    text = {}
    for name, column in table.items():
        if column.dtype.kind == "f":
            text[name] = column.map(_probability if name == "p" else lambda x: MISSING if pd.isna(x) else f"{x:.2f}")
        else:
            text[name] = column.map(str)
    return pd.DataFrame(text)


def spell(placement: str) -> str:
    """`dwconv-cska.h8-attn-attn` as `DW CSKA.h8 ATTN ATTN`."""
    stages = (stage.partition(".") for stage in placement.split("-"))
    return " ".join(mixer.upper().replace("DWCONV", "DW") + dot + switches for mixer, dot, switches in stages)


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _decimals(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.1f}"


def _with_sd(mean: float, sd: float) -> str:
    return _decimals(mean) if pd.isna(sd) else f"{mean:.1f} ± {sd:.1f}"


def _interval(row: Any) -> str:
    if pd.isna(row.difference):
        return "baseline" if row.placement == row.baseline else MISSING
    if pd.isna(row.low):
        return f"{row.difference:+.1f}"
    return f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"


def _verdict(row: Any) -> str:
    verdict, needed = row.verdict, row.seeds_needed
    if verdict == "unresolved" and not pd.isna(needed):
        return f"unresolved ({needed} seeds)"
    return verdict or MISSING


def _probability(value: float) -> str:
    if pd.isna(value):
        return MISSING
    return "< .001" if 0 < value < 0.001 else f"{value:.3f}" if 0 < value < 0.1 else f"{value:.2f}"


def _paper(row: Any) -> str:
    number, words = row.paper_top1, row.paper_says
    return (words or MISSING) if pd.isna(number) else _decimals(number)


def _short(number: float) -> str:
    if pd.isna(number):
        return MISSING
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {letter}"
    return f"{number:.0f}"


def to_markdown(text: pd.DataFrame) -> str:
    """A Markdown table, numbers to the right."""
    align = ["left", *["right"] * (text.shape[1] - 1)]
    return text.to_markdown(index=False, colalign=align, disable_numparse=True)


def to_latex(text: pd.DataFrame, caption: str, label: str) -> str:
    """A LaTeX table for the packages booktabs and graphicx, shrunk to the line and without what it has no room for."""
    narrow = text.drop(columns=["stages 1 to 4", "p", "P(better)", "val top-1 %", "state"], errors="ignore")
    escaped = narrow.map(_escape).rename(columns=_escape)
    columns = "l" + "r" * (escaped.shape[1] - 1)
    latex = escaped.to_latex(index=False, column_format=columns, caption=_escape(caption), label=label, position="t")
    begin, end = "\\begin{tabular}", "\\end{tabular}"
    fitted = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{"
    latex = latex.replace(begin, f"\\small\n{fitted}{begin}").replace(end, f"{end}}}")
    return f"% \\usepackage{{booktabs,graphicx}}\n{latex}"


_LATEX = str.maketrans(
    {letter: "\\" + letter for letter in "%_&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    | {"<": "$<$", ">": "$>$"}
)


def _escape(text: str) -> str:
    escaped = text.translate(_LATEX)
    return (
        rf"\textbf{{{escaped[2:-2]}}}" if len(text) > 4 and text.startswith("**") and text.endswith("**") else escaped
    )
