"""What the README and the pages in docs/ say can be done is done as they say."""

import re
import subprocess
import sys
from io import BytesIO

import pandas as pd
import pytest

from orchestrate import main
from orchestrator.command_line import make_parser
from results.records import CostRecord
from results.report.make_report import make_report
from results.store import Study
from tests.support.paths import ROOT
from tests.support.readme import README, code_blocks, space_file
from tests.support.studies import trial_record

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
RECORDED = ROOT / "results" / "recorded"


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 220


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_page_is_short_and_opens_with_what_its_reader_can_do(page):
    lines = page.read_text().splitlines()
    assert len(lines) < 250
    assert lines[2].startswith("After reading this page you can")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_fill_in(page):
    assert not re.findall(r"@[A-Z_0-9]+@", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_named_in_the_readme():
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in README] == []


def test_ci_runs_the_readmes_test_command():
    install, tests = code_blocks("bash")[1].strip().rsplit(" && ", 1)
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert install in lines
    assert tests in lines


def test_the_pandas_lines_run(tmp_path):
    study = Study("placement", tmp_path / "results" / "runs")
    with study.owned():
        record = trial_record(status="done", top1=97.0)
        study.write("trials", record.key, [record])
        numbers = {"img_size": 32, "batch_size": 64, "num_params": 1, "flops": 123, "peak_memory": 1}
        speeds = {"images_per_second": 1.0, "train_images_per_second": 1.0}
        study.write("costs", "k", [CostRecord(key="k", candidate=record.candidate, device="CPU", **numbers, **speeds)])
    lines = next(block for block in code_blocks("python") if "read_parquet" in block)
    run = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "97.0" in run.stdout
    assert "123" in run.stdout


@pytest.mark.slow
def test_the_model_lines_run():
    page = (ROOT / "docs" / "export.md").read_text()
    for lines in re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]:
        assert subprocess.run([sys.executable, "-c", lines], cwd=ROOT, check=False).returncode == 0


def test_a_space_and_a_mixer_of_ones_own_take_ten_lines():
    literal = space_file("late").partition("SPACE")[2]
    mixer = space_file("pool").partition("@")[2].partition("SPACE")[0]
    assert len(literal.strip().splitlines()) <= 10
    assert len(mixer.strip().splitlines()) <= 10


def test_the_space_of_ones_own_is_listed(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(space_file("late"))
    assert main(["--space", str(tmp_path / "mine.py"), "--list"]) == 0
    # Stage 2 of micro: dwconv, six head counts of CSKA, and one without scale.
    assert "space late: 16 candidates, 0 published" in capsys.readouterr().out


def test_the_first_table_is_made_from_the_recorded_rows():
    markdown = (RECORDED / "placement-cifar10_short" / "report" / "table5.md").read_text()
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        shown = [cells[name] for name in ("row", "test top-1 %", "difference", "verdict", "paper")]
        assert f"| {' | '.join(shown)} |" in README


@pytest.mark.parametrize(
    "study",
    [
        "placement-cifar10_short",
        pytest.param("design-cifar10_short", marks=pytest.mark.slow),
        pytest.param("heads-cifar10_short", marks=pytest.mark.slow),
    ],
)
def test_the_recorded_tables_and_figures_are_made_from_the_recorded_rows(study):
    page = (ROOT / "docs" / "statistics.md").read_text()
    recorded = Study(study, RECORDED)
    report = make_report(recorded)
    assert f"python -m results {study} --results results/recorded" in page
    for markdown in report.markdown:
        # Figure 3's table is too long for the page, what it says of the figure is not.
        assert markdown.startswith("Figure 3") or markdown in page
    for name, content in report.files.items():
        if name.endswith(".parquet"):
            committed = pd.read_parquet(recorded.folder.path / "report" / name)
            pd.testing.assert_frame_equal(pd.read_parquet(BytesIO(content)), committed)
    for figure in re.findall(rf"results/recorded/{study}/report/([a-z0-9_]+\.svg)", page + README):
        assert figure in report.files
        assert (recorded.folder.path / "report" / figure).exists()


def test_every_guarantee_has_its_test():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 25
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_of_orchestrate_exists(page):
    commands = [line.partition("orchestrate.py")[2].partition(" | ")[0] for line in page.read_text().splitlines()]
    named = re.findall(r"(?<![\w-])(--[a-z-]+)", "\n".join(commands))
    assert [option for option in named if option not in make_parser().format_help()] == []


def test_every_option_has_its_line():
    page = (ROOT / "docs" / "command_line.md").read_text()
    options = re.findall(r"(?<![\w-])(--[a-z-]+)", make_parser().format_help())
    assert [option for option in options if f"`{option}" not in page and option != "--help"] == []
