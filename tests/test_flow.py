"""The whole flow through real Ray on a CPU: interrupted, continued, repeated; trials that fail or diverge."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from orchestrate import execute
from orchestrator import ray_trials, study_run
from orchestrator.study_run import StudyRun
from searchspace.candidate import Candidate
from tests.support.fake_trial import FakeBehaviour, begun_epochs, make_fake_trainable
from tests.support.paths import ROOT
from tests.support.plans import plan_for, write_space
from tests.support.readme import space_file
from tests.support.training import make_trainer
from trainers.data.open_dataset import load_in_memory
from trainers.recipes import DIGITS

EPOCHS = 3


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """400 digits to learn from and 100 to test on, as a folder of pictures."""
    folder, digits = tmp_path_factory.mktemp("images"), load_digits()
    for index in range(500):
        target = folder / ("train" if index < 400 else "val") / str(digits.target[index])
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[index] * 15).astype("uint8")).save(target / f"{index}.png")
    return folder


class Command:
    """The command of a study of two candidates: a baseline and one proposal, which pauses at no rung."""

    def __init__(self, images, folder):
        self.study = folder / "mine"
        options = ["--trials", "1", "--stopping", "none", "--sampler", "random", "--epochs", str(EPOCHS)]
        places = ["--space", write_space(folder), "--data", images, "--results", folder]
        self.command = [sys.executable, "orchestrate.py", *places, *options]

    def start(self):
        return subprocess.Popen(self.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self):
        """What it prints when nothing disturbs it."""
        process = self.start()
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def interrupt_after_an_epoch(self):
        process = self.start()
        deadline = time.monotonic() + 300
        while not list(self.study.glob("epochs/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 130, output

    def table(self, name):
        return pd.read_parquet(self.study / name)


@pytest.mark.slow
def test_an_interrupted_study_is_finished_by_the_same_command(images, tmp_path):
    command = Command(images, tmp_path)
    command.interrupt_after_an_epoch()
    before = command.table("epochs")
    assert 0 < len(before) < 2 * EPOCHS
    command.run()

    trials, epochs = command.table("trials"), command.table("epochs")
    assert trials["status"].tolist() == ["done"] * 2
    assert trials["test_top1"].notna().all()
    assert epochs.groupby("key")["epoch"].apply(list).tolist() == [list(range(1, EPOCHS + 1))] * 2
    kept = before.merge(epochs, on=["key", "epoch"], suffixes=("", "_after"))
    assert kept["finished_at"].equals(kept["finished_at_after"])
    assert len(kept) == len(before)
    assert set(trials["candidate"]) <= set(command.table("costs")["candidate"])
    assert (command.study / "report" / "searched.tex").exists()

    interrupted = trials[trials["key"] == before["key"][0]].iloc[0]
    rows = epochs[epochs["key"] == interrupted["key"]].sort_values("epoch")
    assert uninterrupted(images, interrupted["candidate"]) == rows[["train_loss", "val_loss", "top1"]].values.tolist()

    assert "2 trials, 0 to train\n" in command.run()


def uninterrupted(images, candidate):
    """Losses and top-1 by epoch of a trial that is trained in this process at once."""
    data = load_in_memory(str(images), 32)
    trainer = make_trainer(Candidate.parse(candidate), DIGITS.cut(EPOCHS), data, seed=0)
    return [[epoch.train_loss, epoch.val_loss, epoch.top1] for epoch in trainer.epochs()]


def run_with(images, folder, cluster, **recipe):
    """Run three candidates of the placement space under a changed recipe; the exit code and the trials' rows."""
    plan = plan_for("--data", images, "--results", folder)
    plan = replace(plan, recipe=replace(plan.recipe, **recipe), candidates=plan.candidates[:3])
    with plan.study.owned():
        code = execute(StudyRun.prepare(plan), cluster)
    return code, plan.study.trials()


@pytest.mark.slow
def test_a_trial_that_raises_is_recorded_and_the_exit_code_says_so(images, tmp_path, shared_cluster, capsys):
    code, trials = run_with(images, tmp_path, shared_cluster, optimizer="nonsense")
    assert code == 1
    assert trials["status"].tolist() == ["failed"] * 3
    assert trials["error"].str.contains("nonsense").all()
    assert "no result yet: caformer_micro-dwconv-dwconv-attn-attn seed 0" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trial_that_diverges_is_stopped_at_once_and_has_its_row(images, tmp_path, shared_cluster):
    code, trials = run_with(images, tmp_path, shared_cluster, lr=1e30, warmup_epochs=0)
    assert code == 0
    assert trials["status"].tolist() == ["diverged"] * 3
    assert trials["epoch"].tolist() == [1] * 3
    assert trials["top1"].isna().all()


@pytest.mark.slow
def test_a_mixer_of_ones_own_is_trained_and_compared(images, tmp_path):
    (tmp_path / "mine.py").write_text(space_file("pool"))
    command = [sys.executable, "orchestrate.py", "--space", tmp_path / "mine.py", "--data", images, "--trials", "2"]
    command += ["--epochs", "1", "--results", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    table = pd.read_parquet(tmp_path / "pooling" / "report" / "searched.parquet")
    assert table["placement"].tolist()[0] == "dwconv-dwconv-attn-attn"
    assert table["placement"].str.contains("pool").sum() >= 1
    assert table["status"].tolist() == ["done"] * 3
    assert table["verdict"].tolist() == ["", "unresolved", "unresolved"]


@pytest.mark.slow
def test_a_row_that_is_clearly_worse_is_stopped_and_keep_published_finishes_it(tmp_path, shared_cluster, monkeypatch):
    baseline, worse = map(str, plan_for().candidates[:2])
    ends = {baseline: 90.0, worse: 60.0}
    behaviour = FakeBehaviour(folder=tmp_path, budget=15, epoch_seconds=0.01, ends=ends)
    monkeypatch.setattr(ray_trials, "make_trainable", lambda setup: make_fake_trainable(behaviour))
    monkeypatch.setattr(study_run, "measure_costs", lambda plan, cluster, candidates: [])

    trials, table = run_short_curves(tmp_path, shared_cluster)
    assert trials["status"].to_dict() == {baseline: "done", worse: "stopped"}
    assert trials["epoch"].to_dict() == {baseline: 15, worse: 11}
    (row,) = table[table["stopped_epoch"].notna()].to_dict("records")
    assert (row["verdict"], row["stopped_epoch"]) == ("loss (stopped at epoch 11)", 11)
    assert row["forecast_high"] < -0.5
    assert "loss (stopped at epoch 11)" in (tmp_path / "placement" / "report" / "table5.md").read_text()

    trials, table = run_short_curves(tmp_path, shared_cluster, "--keep-published")
    assert trials["status"].tolist() == ["done"] * 2
    assert trials["stopped_because"].isna().all()
    assert table["stopped_epoch"].isna().all()
    trained = [epoch.epoch for epoch in begun_epochs(tmp_path) if epoch.candidate == worse]
    assert trained == list(range(1, 16))  # each epoch once


def run_short_curves(folder, cluster, *options):
    """Run two rows for 15 epochs, of which the 11th judges; the trials' rows by candidate, and Table 5."""
    plan = plan_for("--results", folder, *options)
    plan = replace(plan, recipe=replace(plan.recipe, epochs=15, first_rung=9), candidates=plan.candidates[:2])
    with plan.study.owned():
        assert execute(StudyRun.prepare(plan), cluster) == 0
    table = pd.read_parquet(folder / "placement" / "report" / "table5.parquet")
    return plan.study.trials().sort_values("number").set_index("candidate"), table
