"""A disk that fills up or may not be written: found before training where that can be, else exit code 3 and no loss."""

import os
import subprocess
import sys
import time

import pandas as pd
import pytest

from orchestrate import main
from orchestrator import plan
from orchestrator.command_line import make_parser
from orchestrator.make_plan import make_plan
from results.store import Study
from storage.folder import Folder
from tests.support.paths import ROOT


@pytest.fixture
def command(tmp_path):
    """One trial of two epochs on the digits."""
    choices = '(("dwconv",), ("dwconv",), ("attn",), ("attn",))'
    lines = f'from searchspace.spaces import SearchSpace\n\nSPACE = SearchSpace("one", choices={choices})\n'
    (tmp_path / "one.py").write_text(lines)
    return ["--space", str(tmp_path / "one.py"), "--epochs", "2", "--results"]


@pytest.mark.slow
def test_too_little_room_is_said_before_anything_is_trained(command, tmp_path, monkeypatch, shared_cluster, capsys):
    monkeypatch.setattr(Folder, "free", lambda folder: 1_000_000)
    assert main([*command, str(tmp_path)]) == 3
    assert "1 MB are free in" in capsys.readouterr().err
    assert Study("one", tmp_path).trials().empty


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 6 MB: room for one checkpoint of 4.2 MB, and not for a second."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=False).returncode:  # noqa: S607
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_study_at_once_and_loses_nothing(command, small_disk):
    patched = (
        "import sys, orchestrate; from orchestrator import preflight; preflight.CHECKPOINT_BYTES_PER_PARAM = 1; "
        "sys.exit(orchestrate.main(sys.argv[1:]))"
    )
    run = [sys.executable, "-c", patched, *command, str(small_disk)]
    first = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    ended = time.time()
    assert first.returncode == 3, first.stdout + first.stderr
    assert "No space left on device" in first.stderr
    assert "completed epochs are saved; pending trials: about" in first.stderr
    epochs = pd.read_parquet(small_disk / "one" / "epochs")
    assert epochs["epoch"].tolist() == [1]
    assert ended - epochs["finished_at"].max().timestamp() < 15

    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)  # noqa: S607
    second = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    after = pd.read_parquet(small_disk / "one" / "epochs")
    assert after["epoch"].tolist() == [1, 2]
    assert after["finished_at"][0] == epochs["finished_at"][0]


def test_another_version_of_the_code_is_not_mixed_in(command, tmp_path, monkeypatch, capsys):
    study = Study("one", tmp_path)
    monkeypatch.setattr(plan, "code", lambda: "00000000")
    begun = make_plan(make_parser().parse_args([*command, str(tmp_path)]))
    with study.owned():
        study.begin(begun.settings())
        study.write("trials", begun.trial(begun.candidates[0], 0).key, [begun.trial(begun.candidates[0], 0)])
    monkeypatch.setattr(plan, "code", lambda: "11111111")
    assert main([*command, str(tmp_path)]) == 2
    assert "was begun with code '00000000', now '11111111'" in capsys.readouterr().err
