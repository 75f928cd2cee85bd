import json
import os
from dataclasses import replace

import pytest

from results.store import Study
from results.verify import Findings, verify
from storage.digest import digest
from storage.owner import StudyBusyError
from tests.support.studies import KEY, epoch_record, trial_record

MODEL = b"weights"
FILE = f"{KEY}.parquet"


@pytest.fixture
def trained(study):
    """A study with one finished trial of two epochs and its checkpoint."""
    study.write("trials", KEY, [trial_record(status="paused", epoch=2, top1=90.0)])
    study.write("epochs", KEY, [epoch_record(KEY, 1), epoch_record(KEY, 2)])
    checkpoint = study.folder / "checkpoints" / KEY / "epoch-0002"
    checkpoint.make()
    checkpoint.write("model.safetensors", MODEL)
    checkpoint.write("trainer.json", json.dumps({"digests": {"model.safetensors": digest(MODEL)}}).encode())
    return study


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_sound_study_has_nothing_put_aside(trained):
    assert verify(trained) == Findings(sound=4, damaged=[], disagreements=[])


def test_a_damaged_table_is_moved_and_its_rows_are_missing(trained):
    flip(trained.folder.path / "epochs" / FILE)
    findings = verify(trained)
    assert findings.sound == 3
    assert f"{FILE} is damaged" in findings.damaged[0]
    assert findings.disagreements == [f"{KEY} is paused at epoch 2 and has 0 epochs"]
    assert (trained.folder / "quarantine" / "epochs").names() == [FILE]
    assert (trained.folder / "epochs").names() == []


def test_damaged_settings_are_moved(trained):
    trained.folder.write("study.json", b"{")
    assert "study.json is damaged" in verify(trained).damaged[0]
    assert (trained.folder / "quarantine").names() == ["study.json"]


def test_a_damaged_checkpoint_is_moved_with_all_its_files(trained):
    flip(trained.folder.path / "checkpoints" / KEY / "epoch-0002" / "model.safetensors")
    (line,) = verify(trained).damaged
    assert line.endswith("epoch-0002 is damaged (model.safetensors is not what was written)")
    aside = trained.folder / "quarantine" / "checkpoints" / KEY / "epoch-0002"
    assert aside.names() == ["model.safetensors", "trainer.json"]
    assert (trained.folder / "checkpoints" / KEY).folders() == []


@pytest.mark.parametrize("content", [b"{", b"{}", b"[]", b'{"digests": {"missing": "0"}}'])
def test_a_checkpoint_whose_json_cannot_be_used_is_damaged(trained, content):
    (trained.folder / "checkpoints" / KEY / "epoch-0002").write("trainer.json", content)
    assert "is damaged (no whole checkpoint: " in verify(trained).damaged[0]


@pytest.mark.parametrize(
    ("record", "epochs", "says"),
    [
        ({"status": "done", "epoch": 4}, [], "is done at epoch 4 and has 0 epochs"),
        ({"status": "paused", "epoch": 3}, [1, 2], "is paused at epoch 3 and has 2 epochs"),
    ],
)
def test_rows_that_disagree_are_named(study, record, epochs, says):
    study.write("trials", KEY, [trial_record(**record)])
    study.write("epochs", KEY, [epoch_record(KEY, number) for number in epochs])
    assert verify(study).disagreements == [f"{KEY} {says}"]


def test_a_running_trial_may_be_behind_its_epochs(study):
    study.write("trials", KEY, [trial_record(epoch=1)])
    study.write("epochs", KEY, [epoch_record(KEY, 1), epoch_record(KEY, 2)])
    assert verify(study).disagreements == []


def test_epochs_without_a_trial_are_named(study):
    study.write("epochs", KEY, [epoch_record(KEY, 1)])
    assert verify(study).disagreements == [f"{KEY} has epochs and no trial"]


def test_a_file_of_newer_code_is_left_where_it_is(study, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("results.records.SCHEMA_VERSION", "3")
        study.write("trials", KEY, [trial_record()])
    with pytest.raises(ValueError, match="has schema version 3, this code reads 2 and older"):
        verify(study)
    assert (study.folder / "trials").names() == [FILE]


def test_a_study_that_runs_is_left_alone(study):
    with study.owned(), pytest.raises(StudyBusyError):
        verify(study)


def test_a_study_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no study 'none'"):
        verify(Study("none", tmp_path))


def test_findings_as_text():
    text = str(Findings(3, ["f is damaged"], ["k has epochs [2]"]))
    assert text.splitlines() == [
        "put aside in quarantine/: f is damaged",
        "the next run repairs: k has epochs [2]",
        "3 files are sound, 1 were put aside",
    ]


def test_a_row_of_another_study_is_moved(trained):
    foreign = trial_record(seed=1, code="1")
    trained.write("trials", foreign.key, [foreign])
    (line,) = verify(trained).damaged
    assert line.endswith("is damaged (it is not of this study, in turn: code '1' and None)")
    assert (trained.folder / "trials").names() == [FILE]


def test_a_study_json_with_which_no_row_agrees_is_moved_and_the_rows_stay(trained):
    trained.folder.write("study.json", replace(trained.settings(), budget=9).to_json())
    (line,) = verify(trained).damaged
    assert "study.json is damaged (no row is of it, in turn: budget 9 and 4)" in line
    assert (trained.folder / "trials").names() == [FILE]


def test_an_ended_row_that_its_epochs_contradict_is_moved(study):
    study.write("trials", KEY, [trial_record(status="paused", epoch=1, top1=95.0)])
    study.write("epochs", KEY, [epoch_record()])
    assert "it ended with top-1 95.0 and its last epoch has 90.0" in verify(study).damaged[0]


@pytest.mark.parametrize("place", ["study.json", f"trials/{FILE}", f"epochs/{FILE}"])
@pytest.mark.parametrize("kind", ["fifo", "sparse", "zero", "folder", "deep"])
def test_what_is_no_file_of_ours_is_moved_without_reading(trained, place, kind):
    path = trained.folder.path / place
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(200 * 2**30)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"[" * 100_000)
    assert len(verify(trained).damaged) == 1
    assert not os.path.lexists(path)
    assert os.path.lexists(trained.folder.path / "quarantine" / place)


def test_what_was_put_aside_before_stays(trained):
    for content in (b"1", b"2"):
        trained.folder.write("study.json", content)
        verify(trained)
    assert (trained.folder / "quarantine").names() == ["study.json", "study.json.2"]


def test_a_recorded_study_is_checked_and_left_as_it_is(study, tmp_path):
    study.write("trials", KEY, [trial_record(status="done")])
    published = study.publish(tmp_path / "r")
    assert verify(published).damaged == []
    flip(published.folder.path / "trials" / "all.parquet")
    findings = verify(published)
    assert "all.parquet is damaged" in findings.damaged[0]
    assert str(findings).startswith("left in its place: ")
    assert (published.folder / "trials").names() == ["all.parquet"]
