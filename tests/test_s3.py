"""A study on an object store: its rows, and the whole flow through real Ray, killed and gone on with."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from orchestrate import main
from results import __main__ as show
from results.records import TrialRecord
from results.reuse import import_trials
from results.store import Study
from storage import lease
from storage.lease import LeaseTiming
from tests.support.paths import ROOT
from tests.support.studies import KEY, begun, epoch_record, trial_record


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(lease, "TIMING", LeaseTiming(settling=0.2))


def test_rows_and_settings_come_back(s3):
    study = begun("s", s3)
    records = [trial_record(seed=seed, top1=90.0 + seed) for seed in range(3)]
    for record in reversed(records):
        study.write("trials", record.key, [record])
        study.write("epochs", record.key, [epoch_record(record.key, 1)])
    again = Study("s", s3)
    assert again.records(TrialRecord) == records
    assert again.epochs()["key"].tolist() == [record.key for record in records]
    assert again.settings().backbone == "caformer_micro"
    with pytest.raises(ValueError, match="budget 4, now 9; choose another name with --study"):
        again.begin(replace(study.settings(), budget=9))


def test_what_is_damaged_or_not_there_is_named(s3):
    with pytest.raises(FileNotFoundError, match="no study 's' in s3://studies/"):
        Study("s", s3).settings()
    study = begun("s", s3)
    study.write("trials", KEY, [trial_record()])
    table = study.folder / "trials"
    table.write(f"{KEY}.parquet", table.read(f"{KEY}.parquet")[:-30])
    with pytest.raises(ValueError, match=rf"trials/{KEY}\.parquet.* is damaged .*: `python -m results verify s "):
        study.trials()


def test_a_study_is_shown_and_recorded_here(s3, tmp_path, capsys):
    study = begun("s", s3)
    record = trial_record(status="done", epoch=4, test_top1=91.0)
    study.write("trials", record.key, [record])
    assert show.main(["s", "--storage", s3]) == 0
    assert f"wrote {study.folder / 'report' / 'report.html'}" in capsys.readouterr().out
    assert (study.folder / "report").read("table5.md").startswith(b"Table 5")
    assert study.publish(tmp_path).trials().equals(study.trials())


def test_what_a_study_beside_it_has_is_taken_over_with_checkpoints(s3):
    study, other = begun("s", s3), begun("other", s3)
    record = trial_record(study="other", status="paused", epoch=1, code="1")
    other.write("trials", record.key, [record])
    other.write("epochs", record.key, [epoch_record(record.key, 1)])
    (other.folder / "checkpoints" / record.key / "epoch-0001").write("trainer.json", b"{}")
    assert import_trials(study, lambda _: replace(record, study="s")) == 1
    assert study.records(TrialRecord)[0].reused == "other"
    assert (study.folder / "checkpoints" / record.key / "epoch-0001").read("trainer.json") == b"{}"


def claim(study, **changes):
    """Another's claim on a study."""
    other = {"token": "t", "pid": os.getppid(), "host": socket.gethostname(), "since": "then", "beat": time.time()}
    study.folder.write(".lock", json.dumps(other | changes).encode())


def refused(capsys, where):
    """Exit code and words of a command that does not come to train."""
    code = main(["--space", "placement", "--storage", where])
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    return code, error


def test_who_comes_second_exits_with_4(s3, capsys):
    claim(begun("placement", s3))
    code, error = refused(capsys, s3)
    assert code == 4
    assert error.startswith(f"orchestrate.py: study 'placement' is being run by process {os.getppid()} on ")


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("s3://bucket?nonsense=1", "Unexpected query parameter"),
        ("s3://studies?endpoint_override=127.0.0.1:1&scheme=http", "Could not connect to server"),
        ("s3://nobodys?{}", "bucket does not exist"),
    ],
)
def test_a_store_that_is_none_exits_with_2(endpoint, capsys, where, says):
    code, error = refused(capsys, where.format(endpoint))
    assert code == 2
    assert says in error


@pytest.fixture
def images(tmp_path):
    """80 digits to learn from and 20 to test on, as a folder of pictures."""
    digits = load_digits()
    for index in range(100):
        target = tmp_path / ("train" if index < 80 else "val") / str(digits.target[index])
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[index] * 15).astype("uint8")).save(target / f"{index}.png")
    return tmp_path


TWO = """
from searchspace.spaces import SearchSpace

SPACE = SearchSpace("two", choices=(("dwconv",), ("dwconv", "ska"), ("attn",), ("attn",)))
"""


def start(images, s3):
    (images / "two.py").write_text(TWO)
    command = [sys.executable, "orchestrate.py", "--space", images / "two.py", "--trials", "1", "--data", images]
    command += ["--epochs", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, "--storage", s3], cwd=ROOT, **pipes)


@pytest.mark.slow
def test_a_killed_search_is_finished_by_the_same_command(images, s3):
    study = Study("two", s3)
    process = start(images, s3)
    while process.poll() is None and study.epochs().empty:
        time.sleep(0.05)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    before = study.epochs()

    process = start(images, s3)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    trials, epochs = study.trials(), study.epochs()
    assert trials["status"].tolist() == ["done"] * 2
    assert epochs.groupby("key")["epoch"].apply(list).tolist() == [[1, 2]] * 2
    kept = before.merge(epochs, on=["key", "epoch"], suffixes=("", "_after"))
    assert len(kept) == len(before) > 0
    assert kept["finished_at"].equals(kept["finished_at_after"])
    assert {len((study.folder / "checkpoints" / key).folders()) for key in trials["key"]} == {1}
    assert not study.folder.exists(".lock")

    command = [sys.executable, "-m", "results", "two", "--results", s3]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "| DW SKA ATTN ATTN |" in " ".join(shown.split())
    assert not (ROOT / "s3:").exists()
