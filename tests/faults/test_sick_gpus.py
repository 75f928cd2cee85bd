"""A sick GPU among four that only Ray believes in: it is avoided, and the queue finishes on the others. Real Ray."""

import os
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest

from tests.support.fake_gpus import EPOCHS
from tests.support.fake_trial import begun_epochs
from tests.support.paths import ROOT


def run(folder, sick, *options):
    """The exit code and the output of a study of seven fake trials."""
    (folder / "kept").mkdir()
    study = ["--space", "placement", "--results", folder / "results", *options]
    command = [sys.executable, "-m", "tests.support.fake_gpus", folder / "kept", sick, *study]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("share", ["1", *(pytest.param(share, marks=pytest.mark.nightly) for share in ("0.5", "2"))])
def test_a_sick_gpu_is_avoided_and_the_queue_finishes_on_the_others(tmp_path, share):
    code, output = run(tmp_path, "1", "--gpus-per-trial", share)
    assert code == 0, output
    trials = pd.read_parquet(tmp_path / "results" / "placement" / "trials")
    assert trials["status"].tolist() == ["done"] * 7
    begun = begun_epochs(tmp_path / "kept")
    failed = [epoch for epoch in begun if "1" in epoch.gpus.split(",")]
    assert len(failed) == 2
    assert len({epoch.key for epoch in failed}) == 2
    assert sum(Counter(epoch.key for epoch in begun).values()) == 7 * EPOCHS + 2
    assert output.count("CUDA error: uncorrectable ECC error encountered on GPU 1 of ") == 2
    assert output.count("is out of use for this command after 2 errors") == 1


@pytest.mark.nightly
def test_without_a_healthy_gpu_the_command_ends_with_a_line_and_the_next_one_tries_again(tmp_path):
    code, output = run(tmp_path, "0,1,2,3")
    assert code == 1, output
    assert output.count("is out of use for this command after 2 errors") == 4
    assert "the healthy GPUs that are left hold no trial: the search ends here" in output
    assert "run the same command again to continue" in output
    trials = pd.read_parquet(tmp_path / "results" / "placement" / "trials")
    assert set(trials["status"]) == {"running"}
