"""Commands run from a copy of the code."""

import subprocess
import sys

import pytest

from orchestrator import code_snapshot
from tests.support.paths import ROOT


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return code_snapshot.take_snapshot()


def test_a_snapshot_holds_every_statement_of_the_code(snapshot):
    assert version_of(snapshot) == version_of(ROOT)


def version_of(folder):
    code = "from trainers.version import code, commit; print(code(), commit())"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_studies_are_not_copied(snapshot):
    assert (snapshot / "results" / "store.py").exists()
    assert not (snapshot / "results" / "recorded").exists()
    assert not (snapshot / "results" / "runs").exists()


def test_only_a_snapshot_says_that_it_is_one(snapshot, monkeypatch):
    assert code_snapshot.snapshot_folder() is None
    monkeypatch.setattr(code_snapshot, "ROOT", snapshot)
    assert code_snapshot.snapshot_folder() == snapshot


def test_an_unfinished_snapshot_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(code_snapshot, "COPIED", ("orchestrate.py", "no such module"))
    with pytest.raises(OSError, match="no such module"):
        code_snapshot.take_snapshot()
    assert list(tmp_path.iterdir()) == []


def test_the_same_arguments_reach_the_copy(snapshot, monkeypatch):
    called = []
    monkeypatch.setattr(code_snapshot, "take_snapshot", lambda: snapshot)
    monkeypatch.setattr("os.execv", lambda program, arguments: called.append(arguments))
    monkeypatch.setattr(sys, "argv", ["orchestrate.py", "--space", "placement"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "orchestrate.py", "--space", "placement"])
    code_snapshot.run_from_snapshot()
    script = str(snapshot / "orchestrate.py")
    assert called == [[sys.executable, "-X", "dev", script, "--space", "placement"]]


def test_a_copy_does_not_read_its_code_again(snapshot):
    (snapshot / "trainers" / "trainer.py").write_text("an edit that nothing imports")
    assert version_of(snapshot) == version_of(ROOT)
