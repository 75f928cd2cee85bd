"""What is damaged is named and put aside, and the next run makes it good; a trap is refused and runs nothing."""

import io
import os
import pickle
import re
import tokenize
from dataclasses import replace

import pytest
import torch

from orchestrate import main as orchestrate
from results.__main__ import main
from results.records import EpochRecord, TrialRecord
from results.store import Study
from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.paths import ROOT
from tests.support.studies import trial_record
from tests.support.training import make_trainer
from trainers.checkpoint import load_checkpoint
from trainers.data.open_dataset import load_in_memory
from trainers.recipes import DIGITS

ROOMS = ("storage", "searchspace", "trainers", "schedulers", "results", "orchestrator", "benchmarks")
ONE = """
from searchspace.spaces import SearchSpace

SPACE = SearchSpace("one", choices=(("dwconv",), ("dwconv",), ("attn",), ("attn",)))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of one trial of two epochs, through Ray."""
    root = tmp_path_factory.mktemp("results")
    (root / "one.py").write_text(ONE)
    command = ["--space", str(root / "one.py"), "--epochs", "2", "--results", str(root)]
    assert orchestrate(command) == 0
    return Study("one", root), command


def rows(study):
    """Everything but when and how long."""
    epochs = [replace(row, seconds=0.0, finished_at=None) for row in study.records(EpochRecord)]
    return sorted(map(str, epochs)), [replace(row, seconds=0.0) for row in study.records(TrialRecord)]


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.slow
def test_what_is_damaged_is_put_aside_and_the_next_run_repairs_it(trained, capsys):
    study, command = trained
    before, folder = rows(study), study.folder.path
    assert main(["verify", "one", "--results", str(folder.parent)]) == 0
    assert "5 files are sound, 0 were put aside" in capsys.readouterr().out
    for pattern in ("epochs/*.parquet", "costs/*.parquet"):
        flip(next(folder.glob(pattern)))
    assert main(["verify", "one", "--results", str(folder.parent)]) == 1
    shown = capsys.readouterr().out
    assert "3 files are sound, 2 were put aside" in shown
    assert f"{next((folder / 'quarantine' / 'epochs').iterdir()).name} is damaged" in shown
    assert "is done at epoch 2 and has 0 epochs" in shown
    assert orchestrate(command) == 0
    assert rows(study) == before
    assert main(["verify", "one", "--results", str(folder.parent)]) == 0


class Trap:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def refused(command, capsys):
    """One line, exit code 2, no traceback."""
    assert orchestrate(command) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    return error


@pytest.mark.parametrize("key", ["../../outside", "x" * 300])
@pytest.mark.parametrize("column", ["key", "study"])
def test_names_in_rows_lead_nowhere(tmp_path, key, column, capsys):
    study, root = Study("one", tmp_path / "results"), tmp_path / "results"
    (tmp_path / "one.py").write_text(ONE)
    with study.owned():
        study.write("trials", "k", [replace(trial_record(key="k"), **{column: key})])
    command = ["--space", str(tmp_path / "one.py"), "--epochs", "1", "--results", str(root)]
    assert "k.parquet is damaged" in refused(command, capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.py", "results"]


@pytest.mark.parametrize("name", ["one", "one/trials", "one/checkpoints", "one/report"])
def test_symbolic_links_lead_nowhere(tmp_path, name, capsys):
    outside, root = tmp_path / "outside", tmp_path / "results"
    outside.mkdir()
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(outside)
    (tmp_path / "one.py").write_text(ONE)
    command = ["--space", str(tmp_path / "one.py"), "--epochs", "1", "--results", str(root)]
    assert "by a symbolic link: nothing is written there" in refused(command, capsys)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", [".lock", f".{os.getpid()}-abc.part"], ids=["lock", "part"])
def test_a_link_in_place_of_our_own_file_is_not_followed(tmp_path, name, monkeypatch):
    victim, study = tmp_path / "victim", Study("s", tmp_path)
    victim.write_text("kept")
    study.folder.make()
    (study.folder.path / name).symlink_to(victim)
    monkeypatch.setattr("secrets.token_hex", lambda size: "abc")
    with pytest.raises(OSError, match=r"symbolic link|File exists"), study.owned():
        study.folder.write("file", b"content")
    assert victim.read_text() == "kept"


DANGEROUS = re.compile(
    r"\bpickle|(?<!\. )\b(?:eval|exec) \(|(?:yaml|torch) \. load\b|shell = True|extractall|trust_remote_code"
)


def test_the_code_has_no_dangerous_call():
    files = [*ROOT.glob("*.py"), *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    assert len(files) > 60
    calls = {file.name: DANGEROUS.findall(without_comments(file)) for file in files}
    assert {name: found for name, found in calls.items() if found} == {}


def without_comments(file):
    """The code alone: words about pickles are no pickles."""
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text()).readline)
    return " ".join(token.string for token in tokens if token.type not in (tokenize.COMMENT, tokenize.STRING))


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "trainer.json"])
def test_a_pickle_in_place_of_a_checkpoint_is_never_loaded(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path / "checkpoints")
    candidate, recipe = Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), DIGITS.cut(1)
    data = load_in_memory("digits", 32)
    next(make_trainer(candidate, recipe, data, 0, folder).epochs())
    (folder.path / "epoch-0001" / file).write_bytes(pickle.dumps(Trap()))
    assert load_checkpoint(folder, torch.device("cpu")) is None
    assert make_trainer(candidate, recipe, data, 0, folder).history == []
    assert not (tmp_path / "executed").exists()
