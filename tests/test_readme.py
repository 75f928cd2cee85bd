"""What the README says can be done is done as it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import trial_record

from results.records import CostRecord
from results.store import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z_]+@", README)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


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
    rooms = ["searchspace", "trainers", "results"]
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


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)", README))
def test_every_option_of_the_readme_exists(option):
    from orchestrate import parser

    assert option in parser().format_help()
