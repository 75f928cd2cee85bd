"""Editing the code while a study trains: the study goes on with the code that it began with."""

import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest

from orchestrator.code_snapshot import COPIED
from tests.support.paths import ROOT

TRIALS = ("--space", "placement", "--epochs", "1", "--cpus-per-trial", "1", "--results", "studies")


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
    deadline = time.monotonic() + 120
    while not list(folder.glob("studies/placement/epochs/*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_code_that_is_edited_while_trials_run_trains_none_of_them(tmp_path):
    folder = checkout(tmp_path)
    command = [sys.executable, "orchestrate.py", *TRIALS]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for_a_row(folder)
    edited = folder / "trainers" / "evaluation.py"
    edited.write_text(edited.read_text().replace("100 * self.in_top1", "0 * self.in_top1"))
    (folder / "results" / "report" / "tables.py").write_text("raise RuntimeError('half an edit')\n")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    trials = pd.read_parquet(folder / "studies" / "placement" / "trials")
    assert len(trials) == 7
    assert trials["code"].nunique() == 1
    assert (trials["test_top1"] > 30).all()
