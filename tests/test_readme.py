"""What the README says can be done is done as it says."""

import re
import subprocess
import sys
from io import BytesIO

import pandas as pd
import pytest

from results.records import CostRecord
from results.report.write_report import make_report
from results.store import Study
from tests.support.paths import ROOT
from tests.support.studies import trial_record

README = (ROOT / "README.md").read_text()


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z_]+@", README)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def own(word):
    """The README's file with a space of one's own that holds `word`."""
    return next(block for block in blocks("python") if "SPACE = " in block and word in block)


def test_ci_runs_the_readmes_test_command():
    install, tests = blocks("bash")[1].strip().rsplit(" && ", 1)
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert install in lines
    assert lines[-1] == tests


def test_the_file_tree_is_the_repositorys():
    tree = next(block for block in blocks("text") if block.startswith("orchestrate.py "))
    named, folder = set(), ""
    for line in tree.splitlines():
        for name in re.split(r", ", re.match(r" *(.*?)(  |$)", line)[1]):
            folder = name if not line.startswith(" ") else folder
            named.add(name if not line.startswith(" ") else folder + name)
    assert all((ROOT / name).exists() for name in named)
    rooms = ["searchspace", "trainers", "schedulers", "results"]
    modules = {f"{room}/{path.name}" for room in rooms for path in (ROOT / room).glob("*.py")}
    assert {name for name in modules if not name.endswith("__init__.py")} <= named


def test_the_pandas_lines_run(tmp_path):
    study = Study("placement", tmp_path / "results" / "runs")
    with study.owned():
        record = trial_record(status="done", top1=97.0)
        study.write("trials", record.key, [record])
        numbers = {"img_size": 32, "batch_size": 64, "num_params": 1, "flops": 123, "peak_memory": 1}
        speeds = {"images_per_second": 1.0, "train_images_per_second": 1.0}
        study.write("costs", "k", [CostRecord(key="k", candidate=record.candidate, device="CPU", **numbers, **speeds)])
    lines = next(block for block in blocks("python") if "read_parquet" in block)
    run = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "97.0" in run.stdout
    assert "123" in run.stdout


def test_the_model_lines_run():
    lines = next(block for block in blocks("python") if "create_model" in block)
    assert subprocess.run([sys.executable, "-c", lines], cwd=ROOT, check=False).returncode == 0


def test_a_space_and_a_mixer_of_ones_own_take_ten_lines():
    literal, mixer = own("late").partition("SPACE")[2], own("pool").partition("@")[2].partition("SPACE")[0]
    assert max(len(text.strip().splitlines()) for text in (literal, mixer)) <= 10


def test_the_space_of_ones_own_is_listed(tmp_path, capsys):
    from orchestrate import main

    (tmp_path / "mine.py").write_text(own("late"))
    assert main(["--space", str(tmp_path / "mine.py"), "--list"]) == 0
    # Stage 2 of micro: dwconv, six head counts of CSKA, and one without scale.
    assert "space late: 16 candidates, 0 published" in capsys.readouterr().out


@pytest.mark.parametrize("study", ["placement-cifar10_short", "design-cifar10_short", "heads-cifar10_short"])
def test_the_recorded_tables_and_figures_are_made_from_the_recorded_rows(study):
    recorded = Study(study, ROOT / "results" / "recorded")
    report = make_report(recorded)
    assert f"python -m results {study} --results results/recorded" in README
    for markdown in report.markdown:
        # Figure 3's table is too long for the README, what it says of the figure is not.
        assert markdown.startswith("Figure 3") or markdown in README
    for name, content in report.files.items():
        if name.endswith(".parquet"):
            committed = pd.read_parquet(recorded.folder.path / "report" / name)
            pd.testing.assert_frame_equal(pd.read_parquet(BytesIO(content)), committed)
    for figure in re.findall(rf"results/recorded/{study}/report/([a-z0-9_]+\.svg)", README):
        assert figure in report.files
        assert (recorded.folder.path / "report" / figure).exists()


def test_every_guarantee_has_its_test():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 25
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)", README))
def test_every_option_of_the_readme_exists(option):
    from orchestrate import parser

    assert option in parser().format_help()
