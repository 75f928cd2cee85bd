"""`kill -9` at random moments changes nothing of what a search decides. Through real Ray, with fake trials."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]


def start(results):
    command = [sys.executable, ROOT / "tests" / "fake_search.py", results]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def trials(results):
    """What was proposed in which order, what was stopped and what was promoted how far."""
    rows = pd.read_parquet(results / "placement" / "trials").sort_values("number", ignore_index=True)
    return rows[["number", "candidate", "seed", "status", "epoch", "top1"]]


def test_a_search_killed_three_times_decides_as_one_that_never_was(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait(timeout=300) == 0
    for _ in range(3):
        process = start(killed)
        before = set(killed.glob("placement/trials/*.parquet"))
        while process.poll() is None and set(killed.glob("placement/trials/*.parquet")) == before:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 4))  # noqa: S311
        assert process.poll() is None, "it was over before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(killed).wait(timeout=300) == 0
    pd.testing.assert_frame_equal(trials(killed), trials(whole))
    assert len(trials(whole)) == 12
    assert set(trials(whole)["status"]) == {"done", "stopped"}
    assert set(trials(whole)["epoch"]) == {2, 6, 12}
