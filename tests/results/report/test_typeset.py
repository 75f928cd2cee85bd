import re
import shutil
import subprocess

import pandas as pd
import pytest

from results.report.typeset import _escape, plain, spell, to_latex, to_markdown, typeset
from tests.results.report.test_tables import BASE, SKA2, done, table
from tests.support.studies import trial_record


def text(*trials):
    return typeset(table(*trials).reset_index())


def pair(one, other, seeds=3):
    """Trials of the baseline and of SKA in stage 2, a tenth of a point between seeds."""
    return [
        done(place, seed, top1 + seed / 10) for place, top1 in ((BASE, one), (SKA2, other)) for seed in range(seeds)
    ]


def test_a_line_has_numbers_difference_verdict_and_cost():
    cells = text(*pair(90.0, 80.0)).set_index("row")
    base, ska = cells.loc["no static keys"], cells.loc["SKA in stage 2"]
    assert base["stages 1 to 4"] == "DW DW ATTN ATTN"
    assert (base["test top-1 %"], base["difference"], base["verdict"]) == ("**90.1 ± 0.1**", "baseline", "-")
    assert (base["params"], base["FLOPs"], base["images/s"]) == ("351.48 k", "10.62 M", "3,753")
    assert (ska["test top-1 %"], ska["verdict"], ska["paper"]) == ("80.1 ± 0.1", "loss", "77.6")
    assert re.fullmatch(r"-10\.0 \[-10\.\d, -9\.\d\]", ska["difference"])


def test_an_unresolved_row_says_how_many_seeds_would_resolve_it():
    noisy = [done(place, seed, top1 + seed) for place, top1 in ((BASE, 90.0), (SKA2, 91.0)) for seed in range(3)]
    # sd 1, difference 1, one comparison: 17 seeds an arm.
    assert text(*noisy).set_index("row").loc["SKA in stage 2"].verdict == "unresolved (17 seeds)"


def test_a_tie_for_the_best_is_typeset_as_one():
    trials = [*pair(90.0, 90.1), *(done("dwconv-cska-attn-attn", seed, 80.0 + seed / 10) for seed in range(3))]
    bold = text(*trials)["test top-1 %"].str.startswith("**").tolist()
    assert bold == [True, True, False, False, False, False, False]


def test_where_all_are_tied_nothing_is_bold():
    assert not text(*pair(90.0, 90.1)).map(lambda cell: "**" in cell).any(axis=None)


def test_the_text_marks_stopped_rows_with_their_epoch():
    stopped = trial_record(SKA2, status="paused", epoch=2, top1=80.0)
    assert text(done(BASE, 0, 90.0), stopped)["state"].tolist()[:3] == ["done", "paused at epoch 2", "not run"]


def test_switches_keep_their_case():
    assert spell("dwconv-cska.h8.nosoftmax-attn-attn") == "DW CSKA.h8.nosoftmax ATTN ATTN"


def test_any_table_becomes_text():
    numbers = pd.DataFrame({"factor": ["stage 2"], "share": [0.123], "p": [0.0004], "trials": [3]})
    assert plain(numbers).iloc[0].tolist() == ["stage 2", "0.12", "< .001", "3"]


def test_markdown_has_a_line_per_row():
    assert len(to_markdown(text(done(BASE, 0, 90.0))).splitlines()) == 2 + 7


def test_latex_is_balanced_escaped_and_uses_booktabs():
    latex = to_latex(text(*pair(90.0, 80.0)), "caformer_micro, 100 % ± 1", "tab:x")
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1]
    assert r"\toprule" in latex
    assert r"\textbf{90.1 $\pm$ 0.1}" in latex
    assert r"caformer\_micro, 100 \% $\pm$ 1" in latex
    assert not re.search(r"(?<!\\)[%_#]|±|\*\*", latex.partition("\n")[2])


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here")
def test_latex_compiles_with_a_bare_article_class(tmp_path):
    table = to_latex(text(*pair(90.0, 80.0)), "caformer_micro, 100 % ± 1 < 2 & more", "tab:x")
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
    assert _escape(text) == escaped
