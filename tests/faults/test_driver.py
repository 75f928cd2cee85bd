"""Trials that stall; drivers that are interrupted, killed, or started ten at a time. Real Ray, fake trials."""

import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.support.fake_trial import begun_epochs
from tests.support.paths import ROOT


class Driver:
    """The command with two fake trials of three epochs, which stall as `how` says, as a process."""

    def __init__(self, folder, how, *options):
        self.folder, self.kept, self.study = folder, folder / "kept", folder / "results" / "placement"
        self.kept.mkdir()
        self.mark = uuid.uuid4().hex  # in the environment of all that it starts
        fake = ["--space", "placement", "--epochs", "3", "--cpus-per-trial", "1", "--results", folder / "results"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fake_driver", self.kept, how, *fake, *options],
            cwd=ROOT,
            env={**os.environ, "DRIVER": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def log(self):
        return begun_epochs(self.kept)

    def wait_for_second_epochs(self):
        """Until both trials are within the epoch that never ends."""
        deadline = time.monotonic() + 180
        while sum(begun.epoch == 2 for begun in self.log()) < 2:
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)  # the row of the first
        return self

    def end(self):
        """Its exit code, and the seconds until then."""
        began = time.monotonic()
        code = self.process.wait(timeout=180)
        seconds = time.monotonic() - began
        self.output, _ = self.process.communicate(timeout=60)
        return code, seconds

    def left(self):
        """The processes that it, or what it started, has started and that are still there."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text()
            except OSError:  # gone, or another user's
                continue
        return found

    def all_gone_within(self, seconds):
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left

    def rows(self):
        trials = pd.read_parquet(self.study / "trials").sort_values("number")
        return trials[["status", "epoch"]].values.tolist()


@pytest.mark.slow
def test_a_trial_that_hangs_is_tried_once_more_from_its_checkpoint(tmp_path):
    driver = Driver(tmp_path, "always,once", "--hang-after", "0.05")
    code, _ = driver.end()
    assert code == 1, driver.output
    assert driver.rows() == [["failed", 1], ["done", 3]]
    errors = pd.read_parquet(driver.study / "trials").sort_values("number")["error"]
    assert errors.tolist()[0] == "no epoch for 0.05 minutes, twice"
    assert errors.isna().tolist() == [False, True]
    assert [begun.epoch for begun in driver.log() if "cska" in begun.candidate] == [1, 2, 2, 3]
    assert driver.output.count("no epoch for 0.05 minutes; goes on from epoch 1") == 2
    driver.all_gone_within(10)


@pytest.mark.slow
def test_an_interrupt_ends_a_long_epoch_and_leaves_rows_and_tables(tmp_path):
    driver = Driver(tmp_path, "always,always,report").wait_for_second_epochs()
    driver.process.send_signal(signal.SIGTERM)
    code, seconds = driver.end()
    assert code == 128 + signal.SIGTERM, driver.output
    assert seconds < 30
    assert driver.rows() == [["running", 1]] * 2
    assert len(pd.read_parquet(driver.study / "epochs")) == 2
    assert (driver.study / "report" / "table5.md").exists()
    assert "run the same command again to continue" in driver.output
    driver.all_gone_within(10)


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(tmp_path):
    driver = Driver(tmp_path, "always,always").wait_for_second_epochs()
    driver.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    driver.process.send_signal(signal.SIGINT)
    code, seconds = driver.end()
    assert code == 128 + signal.SIGINT, driver.output
    assert seconds < 2
    assert driver.rows() == [["running", 1]] * 2
    driver.all_gone_within(10)


@pytest.mark.slow
def test_nothing_outlives_a_killed_driver(tmp_path):
    driver = Driver(tmp_path, "always,always").wait_for_second_epochs()
    assert len(driver.left()) > 5  # the driver, two trials, Ray
    driver.process.kill()
    driver.process.wait()
    driver.all_gone_within(10)


OWN = """
import sys
from storage.owner import StudyBusyError
from results.store import Study

try:
    with Study("s", sys.argv[1]).owned():
        print("mine", flush=True)
        sys.stdin.read()
except StudyBusyError as error:
    print(error)
    sys.exit(4)
"""


@pytest.mark.slow
def test_one_of_ten_drivers_wins_and_the_others_say_who_did(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    drivers = [subprocess.Popen([sys.executable, "-c", OWN, tmp_path], **pipes) for _ in range(10)]
    said = {driver: driver.stdout.readline() for driver in drivers}
    (winner,) = [driver for driver, line in said.items() if line == "mine\n"]
    since = f" on {os.uname().nodename} since {datetime.now():%Y-%m-%d }"
    real = [sys.executable, "orchestrate.py", "--space", "placement", "--study", "s", "--results", tmp_path]
    second = subprocess.run(real, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 4
    for line in [*(said[driver] for driver in drivers if driver is not winner), second.stderr]:
        assert f"study 's' is being run by process {winner.pid}{since}" in line
    winner.communicate()
    assert sorted(driver.wait() for driver in drivers) == [0, *[4] * 9]
