"""`kill -9` at any moment, of the driver or of a trial's process, changes nothing of what a search decides and nothing
in its tables. Through real Ray, with fake trials."""

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.support.fake_trial import begun_epochs
from tests.support.paths import ROOT


class Search:
    """Twelve trials, one at a time, in a process of its own."""

    def __init__(self, folder):
        self.study, self.kept = folder / "placement", folder / "kept"
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.support.fake_search", folder]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def wait_until(self, condition):
        while not condition():
            assert self.process.poll() is None, "it was over before it could be killed"
            time.sleep(0.02)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL

    def kill_worker(self):
        """The process of the running trial, an epoch or more after it began; False if it was over by then.

        One that dies three times without an epoch is given up, as it should be.
        """
        before = len(begun_epochs(self.kept))
        self.wait_until(lambda: len(begun_epochs(self.kept)) > before)
        time.sleep(0.3)
        try:
            os.kill(begun_epochs(self.kept)[-1].process, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def rows(self):
        return set((self.study / "trials").glob("*.parquet"))

    def tables(self):
        """What was proposed in which order, stopped, promoted how far, and every epoch."""
        trials = pd.read_parquet(self.study / "trials").sort_values("number", ignore_index=True)
        epochs = pd.read_parquet(self.study / "epochs").sort_values(["key", "epoch"], ignore_index=True)
        return trials.drop(columns=["seconds", "commit", "device"]), epochs.drop(columns=["seconds", "finished_at"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nothing disturbed."""
    search = Search(tmp_path_factory.mktemp("whole"))
    assert search.process.wait(timeout=300) == 0
    return search.tables()


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.nightly)])
def test_a_search_whose_driver_and_workers_are_killed_ends_as_one_that_was_left_alone(whole, tmp_path, kills):
    draw = random.Random(0)  # noqa: S311
    search = Search(tmp_path / "killed")
    search.wait_until((search.study / "study.json").exists)
    search.kill()  # before the first report
    assert not search.rows()
    for _ in range(kills - 1):
        before = search.rows()
        search = Search(tmp_path / "killed")
        search.wait_until(lambda search=search, before=before: search.rows() != before)
        time.sleep(draw.uniform(0, 2))
        search.kill()
    search, killed = Search(tmp_path / "killed"), 0
    while killed < kills:
        killed += search.kill_worker()
    assert search.process.wait(timeout=300) == 0
    for ours, theirs in zip(search.tables(), whole, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
    trials, epochs = whole
    assert len(trials) == 12
    assert set(trials["status"]) == {"done", "paused"}
    assert set(trials["epoch"]) <= {4, 8, 12}
    assert {4, 12} <= set(trials["epoch"])
    assert not epochs.duplicated(["key", "epoch"]).any()
