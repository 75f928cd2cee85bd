"""Ray's own processes are killed: the command starts Ray again and ends as one that was left alone."""

import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from tests.support.paths import ROOT

# What to kill: a word of the process's command line.
PROCESSES = {"raylet": "raylet/raylet", "gcs": "gcs_server", "agent": "runtime_env/agent/main.py"}


class Study:
    """Seven trials of one epoch, as a process."""

    def __init__(self, folder):
        options = ["--space", "placement", "--epochs", "1", "--cpus-per-trial", "1", "--results", folder]
        self.folder = folder / "placement"
        self.output = folder / "output.txt"
        with self.output.open("w") as file:
            command = [sys.executable, "orchestrate.py", *options]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)

    def wait_until_there_are(self, table, number):
        deadline = time.monotonic() + 300
        while len(list((self.folder / table).glob("*.parquet"))) < number:
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.02)

    def kill_one(self, name):
        for process in psutil.Process(self.process.pid).children(recursive=True):
            if PROCESSES[name] in " ".join(process.cmdline()):
                process.kill()
                return
        raise AssertionError(f"no {name} runs")


def wait_for_line(study, text, seconds):
    deadline = time.monotonic() + seconds
    while text not in study.output.read_text():
        assert time.monotonic() < deadline, study.output.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        pytest.param("raylet", ("epochs", 1), marks=pytest.mark.slow, id="raylet while trials run"),
        pytest.param("gcs", ("epochs", 7), marks=pytest.mark.nightly, id="gcs after the last trial"),
        pytest.param("agent", ("epochs", 1), marks=pytest.mark.nightly, id="agent while trials run"),
        pytest.param("gcs", ("epochs", 1), marks=pytest.mark.nightly, id="gcs while trials run"),
        pytest.param("raylet", ("epochs", 7), marks=pytest.mark.nightly, id="raylet after the last trial"),
        pytest.param("agent", ("epochs", 7), marks=pytest.mark.nightly, id="agent after the last trial"),
    ],
)
def test_the_command_goes_on_by_itself(tmp_path, name, moment):
    study = Study(tmp_path)
    study.wait_until_there_are(*moment)
    study.kill_one(name)
    wait_for_line(study, "Ray is started again", seconds=20)
    assert study.process.wait(timeout=300) == 0, study.output.read_text()

    trials = pd.read_parquet(study.folder / "trials")
    assert trials["status"].tolist() == ["done"] * 7
    assert len(pd.read_parquet(study.folder / "epochs")) == 7
    assert len(pd.read_parquet(study.folder / "costs")) == 7
