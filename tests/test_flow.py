"""The whole flow through real Ray on a CPU: interrupted, gone on with, repeated; and trials that fail or diverge."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from orchestrate import make_trial_queue, open_cluster, parser, run
from orchestrator.plan import make_plan
from searchspace.candidate import Candidate
from tests.support.paths import ROOT
from tests.support.readme import space_file
from tests.support.training import make_trainer
from trainers.data.open_dataset import load_in_memory
from trainers.recipes import DIGITS

EPOCHS = 4


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """400 digits to learn from and 100 to test on, as a folder of pictures."""
    folder, digits = tmp_path_factory.mktemp("images"), load_digits()
    for index in range(500):
        target = folder / ("train" if index < 400 else "val") / str(digits.target[index])
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[index] * 15).astype("uint8")).save(target / f"{index}.png")
    return folder


def start(images, results):
    command = [sys.executable, "orchestrate.py", "--space", "placement", "--data", images, "--results", results]
    command += ["--epochs", str(EPOCHS)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_an_interrupted_study_is_finished_by_the_same_command(images, tmp_path):
    study = tmp_path / "placement"
    process = start(images, tmp_path)
    deadline = time.monotonic() + 120
    while not list(study.glob("epochs/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    before = pd.read_parquet(study / "epochs")

    process = start(images, tmp_path)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    trials, epochs = pd.read_parquet(study / "trials"), pd.read_parquet(study / "epochs")
    assert trials["status"].tolist() == ["done"] * 7
    assert trials["test_top1"].notna().all()
    each = epochs.groupby("key")["epoch"].apply(list)
    assert each.tolist() == [list(range(1, EPOCHS + 1))] * 7
    kept = before.merge(epochs, on=["key", "epoch"], suffixes=("", "_after"))
    assert len(kept) == len(before) > 0
    assert kept["finished_at"].equals(kept["finished_at_after"])
    assert len(pd.read_parquet(study / "costs")) == 7
    assert (study / "report" / "table5.tex").exists()
    assert not (study / "ray").exists()

    # What was interrupted equals what was never interrupted.
    trial = trials.merge(before[["key"]].drop_duplicates(), on="key").iloc[0]
    trainer = make_trainer(
        Candidate.parse(trial["candidate"]), DIGITS.cut(EPOCHS), load_in_memory(str(images), 32), seed=0
    )
    whole = [(epoch.train_loss, epoch.val_loss, epoch.top1) for epoch in trainer.epochs()]
    rows = epochs[epochs["key"] == trial["key"]].sort_values("epoch")
    assert list(rows[["train_loss", "val_loss", "top1"]].itertuples(index=False, name=None)) == whole

    process = start(images, tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "7 trials, 0 to train\n" in output


def run_with(images, tmp_path, **recipe):
    """Run three candidates of the placement space under a changed recipe; the exit code and the trials' rows."""
    args = parser().parse_args(["--space", "placement", "--data", str(images), "--results", str(tmp_path)])
    plan = make_plan(args)
    plan = replace(plan, recipe=replace(plan.recipe, **recipe), candidates=plan.candidates[:3])
    with plan.study.owned(), open_cluster(args) as cluster:
        plan.study.begin(plan.settings())
        code = run(make_trial_queue(plan), cluster, total=3)
    return code, plan.study.trials()


def test_a_trial_that_raises_is_recorded_and_the_exit_code_says_so(images, tmp_path, capsys):
    code, trials = run_with(images, tmp_path, optimizer="nonsense")
    assert code == 1
    assert trials["status"].tolist() == ["failed"] * 3
    assert trials["error"].str.contains("nonsense").all()
    assert "no result yet: caformer_micro-dwconv-dwconv-attn-attn seed 0" in capsys.readouterr().err


def test_a_trial_that_diverges_is_stopped_at_once_and_has_its_row(images, tmp_path):
    code, trials = run_with(images, tmp_path, lr=1e30, warmup_epochs=0)
    assert code == 0
    assert trials["status"].tolist() == ["diverged"] * 3
    assert trials["epoch"].tolist() == [1] * 3
    assert trials["top1"].isna().all()


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
