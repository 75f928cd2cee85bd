import re
import shutil
import subprocess

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from results.report.column_docs import TABLE
from results.report.file_formats import escape_latex, to_latex, to_markdown, to_parquet
from results.report.typeset import typeset
from tests.support.result_tables import BASE, SKA2, done, table


def text(*trials):
    return typeset(table(*trials).reset_index())


def baseline_and_worse():
    """Three seeds each of the baseline at 90.1 and of SKA in stage 2 at 80.1."""
    return [done(place, seed, top1 + seed / 10) for place, top1 in ((BASE, 90.0), (SKA2, 80.0)) for seed in range(3)]


def test_parquet_has_types_and_says_what_each_column_means(tmp_path):
    notes = {name: column.note for name, column in TABLE.items()}
    (tmp_path / "t.parquet").write_bytes(to_parquet(table(done(BASE, 0, 90.0)).reset_index(), notes))
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert all(schema.field(name).metadata[b"note"].decode() == note for name, note in notes.items())
    assert schema.field("seeds_needed").type == pa.int64()
    assert schema.field("difference").type == pa.float64()
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert read.attrs["columns"]["difference"].endswith("points; finished trials only")


def test_markdown_has_a_line_per_row():
    assert len(to_markdown(text(done(BASE, 0, 90.0))).splitlines()) == 2 + 7


def test_latex_is_balanced_escaped_and_uses_booktabs():
    latex = to_latex(text(*baseline_and_worse()), "caformer_micro, 100 % ± 1", "tab:x")
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1]
    assert r"\toprule" in latex
    assert r"\textbf{90.1 $\pm$ 0.1}" in latex
    assert r"caformer\_micro, 100 \% $\pm$ 1" in latex
    assert not re.search(r"(?<!\\)[%_#]|±|\*\*", latex.partition("\n")[2])


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here")
def test_latex_compiles_with_a_bare_article_class(tmp_path):
    table = to_latex(text(*baseline_and_worse()), "caformer_micro, 100 % ± 1 < 2 & more", "tab:x")
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{head}{table}\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert "Overfull" not in run.stdout


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a$\\b_{x}~^", r"a\$\textbackslash{}b\_\{x\}\textasciitilde{}\textasciicircum{}"),
        ("< .001", r"$<$ .001"),
    ],
)
def test_latex_escapes_what_a_cell_may_hold(text, escaped):
    assert escape_latex(text) == escaped
