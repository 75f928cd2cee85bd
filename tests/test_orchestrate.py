"""The command line without launching anything: the plan, the listing, and wrong input."""

import errno
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrate import main, report
from results.__main__ import main as show
from storage.write_error import WriteError
from tests.support.plans import plan_for
from tests.support.studies import trial_record


def refusal(capsys, *arguments, entry=main):
    """The one line that wrong arguments get."""
    try:
        code = entry([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse's way out
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2
    assert re.fullmatch(r"[^\n]+: error: [^\n]+\n", captured.err), captured.err
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["--space", "nowhere"],
            "unknown space 'nowhere', expected placement, heads, design, joint, ska_readings or a Python file",
        ),
        (["--space", "nowhere.py"], "No such file or directory"),
        (["--space", "placement", "--recipe", "magic"], "argument --recipe: invalid choice: 'magic'"),
        (["--space", "placement", "--recipe", "cifar10"], "recipe 'cifar10' needs --data"),
        (
            ["--space", "placement", "--data", "/nowhere/at/all"],
            "no data at /nowhere/at/all, expected digits, a folder",
        ),
        (["--space", "placement", "--seeds", "0"], "--seeds 0, expected 1 or more"),
        (["--space", "placement", "--trials", "-3"], "--trials -3, expected 0 or more"),
        (["--space", "placement", "--epochs", "-1"], "-1 epochs, expected 1 to 12"),
        (["--space", "placement", "--ema", "1"], "the decay of the averaged weights is 1.0, expected between 0 and 1"),
        (["--space", "placement", "--gpus-per-trial", "-0.5"], "--gpus-per-trial -0.5, expected 0 or more"),
        (["--space", "placement", "--data", ""], "recipe 'digits' needs --data"),
        (["--space", "placement", "--data", "~nosuchuser/x"], "no data at ~nosuchuser/x"),
        (["--space", "placement", "--gpus-per-trial", "nan"], "--gpus-per-trial nan, expected 0 or more"),
        (["--space", "placement", "--trials", "1000"], "1000 trials beyond the published ones"),
        (["--space", "placement", "--study", "../x"], "bad study name '../x'"),
        (["--space", "placement", "--seeds", "100000000"], "--seeds 1e+08, expected at most 1000"),
        (["--space", "placement", "--gpus-per-trial", "inf"], "--gpus-per-trial inf, expected at most 1024"),
        (["--space", "placement", "--gpus-per-trial", "1e-320"], "expected 0, or 0.01 or more"),
        (["--space", "placement", "--cpus-per-trial", "999999999"], "--cpus-per-trial 1e+09, expected at most 4096"),
        (["--space", "no\x1b[31mwhere"], "unknown space 'no"),
        ([], "the following arguments are required: --space"),
    ],
)
def test_wrong_arguments_get_one_line(capsys, arguments, wanted):
    assert wanted in refusal(capsys, *arguments)


def test_an_unwritable_results_folder_gets_one_line(capsys, tmp_path):
    (tmp_path / "file").touch()
    message = refusal(capsys, "--space", "placement", "--results", tmp_path / "file" / "runs")
    assert str(tmp_path / "file") in message


def test_a_corrupt_image_gets_one_line(capsys, tmp_path):
    for split in ("train", "val"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / split / name / "0.png")
    (tmp_path / "train" / "a" / "0.png").write_bytes(b"no image")
    message = refusal(capsys, "--space", "placement", "--data", tmp_path)
    assert "train/a/0.png cannot be decoded" in message


def test_a_parquet_without_labels_gets_one_line(capsys, tmp_path):
    for split in ("train", "test"):
        pq.write_table(pa.table({"img": [b""]}), tmp_path / f"{split}.parquet")
    message = refusal(capsys, "--space", "placement", "--data", tmp_path)
    assert "train.parquet has columns img, expected one of label" in message


def test_a_damaged_row_gets_one_line(capsys, tmp_path):
    (tmp_path / "placement" / "trials").mkdir(parents=True)
    (tmp_path / "placement" / "trials" / "k.parquet").write_bytes(b"PAR1")
    message = refusal(capsys, "--space", "placement", "--results", tmp_path)
    assert "trials/k.parquet is damaged" in message


def test_another_recipe_in_the_same_study_gets_one_line(capsys, tmp_path):
    study = plan_for("--results", tmp_path).study
    with study.owned():
        study.begin(plan_for().settings())
        study.write("trials", "k", [trial_record(key="k")])
    message = refusal(capsys, "--space", "placement", "--epochs", "2", "--results", tmp_path)
    assert "recipe.stop_epoch None, now 2" in message


@pytest.mark.parametrize("content", ["[]", "null", "{}", "{"])
def test_damaged_settings_get_one_line(capsys, tmp_path, content):
    (tmp_path / "placement").mkdir()
    (tmp_path / "placement" / "study.json").write_text(content)
    assert "study.json is damaged" in refusal(capsys, "--space", "placement", "--results", tmp_path)
    assert "study.json is damaged" in refusal(capsys, "placement", "--results", tmp_path, entry=show)


def test_a_study_in_use_exits_with_4(capsys, tmp_path):
    with plan_for("--results", tmp_path).study.owned():
        assert main(["--space", "placement", "--results", str(tmp_path)]) == 4
    assert re.fullmatch(
        r"orchestrate\.py: study 'placement' is being run by process \d+ on [^\n]+\n", capsys.readouterr().err
    )


@pytest.mark.parametrize("cluster", [None, object()])
def test_a_disk_that_fills_up_at_the_end_has_exit_code_3(capsys, cluster):
    class FullDisk:
        def write_report(self):
            raise WriteError(errno.ENOSPC, "No space left on device")

        def measure_remaining_costs(self, cluster):
            self.write_report()

    assert report(FullDisk(), cluster, 0) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "all rows are saved; run the same command again to continue"
