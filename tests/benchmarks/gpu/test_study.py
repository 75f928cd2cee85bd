"""The study's command is run, limited in time and read."""

import sys

import pandas as pd
import pytest
import torch

from benchmarks.gpu import study
from benchmarks.gpu.outcomes import CheckFailedError
from benchmarks.gpu.scale import SMALL

CPU = torch.device("cpu")


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A command that ends with 0 and has left so many finished rows."""

    def leave(rows):
        trials = tmp_path / study.NAME / "trials"
        trials.mkdir(parents=True)
        for number in range(rows):
            row = {"status": "done", "device": "a card", "test_top1": 70.0 + number}
            pd.DataFrame([row]).to_parquet(trials / f"{number}.parquet")
        monkeypatch.setattr(study, "run_command", lambda command, seconds: (0, "done"))
        return study.seven_rows(CPU, SMALL, data="digits", results=str(tmp_path), seconds=1)

    return leave


def test_seven_rows_are_wanted(finished):
    assert finished(7).detail == "7 of 7 rows done on a card: test top-1 70.0 to 76.0 %"


def test_a_missing_row_is_a_failure(finished):
    with pytest.raises(CheckFailedError, match="6 of 7 rows done"):
        finished(6)


def test_a_command_that_fails_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_command", lambda command, seconds: (2, "begin\nno such recipe\n"))
    with pytest.raises(CheckFailedError, match="exit code 2, 0 of 7 rows done: no such recipe"):
        study.seven_rows(CPU, SMALL, data="digits", results=str(tmp_path), seconds=1)


def test_output_and_exit_code_of_a_command():
    assert study.run_command([sys.executable, "-c", "print(1); exit(3)"], 20) == (3, "1\n")


def test_a_command_that_takes_too_long_is_ended():
    with pytest.raises(CheckFailedError, match="took longer than 1 s"):
        study.run_command([sys.executable, "-c", "import time; time.sleep(60)"], 1)
