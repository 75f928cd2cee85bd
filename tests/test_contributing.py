"""CONTRIBUTING.md's example: a new number that every trial reports, from the trainer to its Parquet column."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()

# Trains one epoch, writes its row as the orchestrator does, and prints the new column as pandas reads it.
TRAIN_AND_READ = """
from pathlib import Path

from orchestrator.trial_rows import epoch_rows
from results.store import Study
from searchspace.candidate import Candidate
from tests.support.studies import trial_record
from trainers.data.open_dataset import open_dataset
from trainers.recipes import RECIPES
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trial_task import TrainingSetup, TrialTask

recipe = RECIPES["digits"].cut(1)
task = TrialTask(key="", candidate=Candidate.parse("caformer_micro-dwconv-ska-attn-attn"), seed=0, until=1)
setup = TrainingSetup(recipe=recipe, data=open_dataset("digits", recipe), resources=Resources(), checkpoints=None)
report = next(run_trial(task, setup))
study = Study("one", Path("runs"))
with study.owned():
    record = trial_record()
    study.write("epochs", record.key, epoch_rows(record, report))
print(study.epochs()["grad_norm"].tolist())
"""


def fenced(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture
def copy(tmp_path):
    """A copy of the packages, in a repository of its own."""
    for room in ("orchestrator", "storage", "searchspace", "trainers", "schedulers", "results", "tests"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "runs", "recorded"))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)  # noqa: S607
    return tmp_path


def apply(folder, *options):
    command = ["git", "apply", *options, "-"]
    return subprocess.run(command, cwd=folder, input=fenced("diff"), capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_example_of_a_new_reported_number_works(copy):
    apply(copy)
    run = subprocess.run(
        [sys.executable, "-c", TRAIN_AND_READ], cwd=copy, stdout=subprocess.PIPE, text=True, check=True
    )
    [norm] = [float(text) for text in re.findall(r"[\d.]+", run.stdout)]
    assert 0 < norm < 100


def test_the_example_changes_as_many_lines_as_the_page_says(copy):
    stat = [line.strip() for line in apply(copy, "--stat").splitlines()]
    shown = [line.strip() for line in fenced("text").splitlines()]
    assert [" ".join(line.split()) for line in stat] == [" ".join(line.split()) for line in shown]
