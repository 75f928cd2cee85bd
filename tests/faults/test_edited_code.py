"""Editing the code while a study trains: no trial trains with other code than the study began with."""

import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest

from orchestrator.code_snapshot import COPIED
from tests.support.paths import ROOT
from tests.support.user_mixers import POOLING

TRIALS = ("--study", "edited", "--epochs", "1", "--cpus-per-trial", "1", "--results", "studies")


def checkout(folder):
    """A copy of this repository's code, which may be edited."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("runs", "recorded"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def wait_for_a_row(folder):
    deadline = time.monotonic() + 300
    while not list(folder.glob("studies/edited/epochs/*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(folder, *arguments):
    command = [sys.executable, "orchestrate.py", *TRIALS, *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for_a_row(folder)
    return process


@pytest.mark.slow
def test_code_that_is_edited_while_trials_run_trains_none_of_them(tmp_path):
    folder = checkout(tmp_path)
    process = start(folder, "--space", "placement")
    edited = folder / "trainers" / "evaluation.py"
    edited.write_text(edited.read_text().replace("100 * self.in_top1", "0 * self.in_top1"))
    (folder / "results" / "report" / "tables.py").write_text("raise RuntimeError('half an edit')\n")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output

    trials = pd.read_parquet(folder / "studies" / "edited" / "trials")
    assert len(trials) == 7
    assert trials["code"].nunique() == 1
    assert (trials["test_top1"] > 30).all()


@pytest.mark.slow
def test_a_space_file_that_is_edited_while_trials_run_ends_the_command(tmp_path):
    folder = checkout(tmp_path)
    space = folder / "my_space.py"
    space.write_text(POOLING)
    process = start(folder, "--space", "my_space.py", "--trials", "2")
    space.write_text(POOLING.replace("self.mean(x) - x", "self.mean(x) + x"))
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 2, output
    assert output.splitlines()[-1].startswith("orchestrate.py: error: the code has changed while the study ran: ")

    trials = pd.read_parquet(folder / "studies" / "edited" / "trials")
    assert trials["code"].nunique() == 1
    assert (trials["status"] == "running").sum() + (trials["status"] == "done").sum() == len(trials)
