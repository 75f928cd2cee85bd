"""Checkpoints on disk: what is damaged, what does not fit, and what is kept."""

import errno
import json
from dataclasses import replace

import pytest
import torch

from storage.folder import Folder
from tests.support.checkpoints import make_checkpoint
from trainers.checkpoint import load_checkpoint, newest, read_tensors, save_checkpoint, save_test_top1

CPU = torch.device("cpu")


@pytest.fixture
def folder(anywhere):
    """A folder, local or on an object store, with two checkpoints."""
    for epochs in (1, 2):
        save_checkpoint(anywhere, make_checkpoint(epochs), keep=2)
    return anywhere


@pytest.fixture
def local(tmp_path):
    folder = Folder(tmp_path)
    for epochs in (1, 2):
        save_checkpoint(folder, make_checkpoint(epochs), keep=2)
    return folder


def test_what_is_loaded_is_what_was_saved(folder):
    saved = make_checkpoint(2)
    loaded = load_checkpoint(folder, CPU)
    assert (loaded.metadata, loaded.history, loaded.test_top1) == (saved.metadata, saved.history, None)
    assert torch.equal(loaded.model["weight"], saved.model["weight"])
    assert torch.equal(loaded.optimizer["state"][0]["exp_avg"], torch.ones(2, 3))
    assert loaded.optimizer["param_groups"] == [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0]}]


def test_the_test_top1_is_added_later(folder):
    save_test_top1(folder, 2, 61.5)
    assert load_checkpoint(folder, CPU).test_top1 == 61.5


def test_only_the_newest_are_kept(folder):
    save_checkpoint(folder, make_checkpoint(3), keep=2)
    assert folder.folders() == ["epoch-0002", "epoch-0003"]


def test_later_checkpoints_are_damaged_and_removed(folder):
    save_checkpoint(folder, make_checkpoint(1), keep=1)
    assert folder.folders() == ["epoch-0001"]


def test_an_edited_description_gives_way_to_the_checkpoint_before(local):
    change_json(local, histori=[])
    assert load_checkpoint(local, CPU).epoch == 1


def test_an_older_description_without_a_digest_still_loads(local):
    change_json(local, digest=None)
    assert load_checkpoint(local, CPU).epoch == 2


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "trainer.json"])
@pytest.mark.parametrize("content", [b"half", b"[]", b"{}", None])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(local, file, content):
    if content is None:
        (local / "epoch-0002").remove(file)
    else:
        (local / "epoch-0002").write(file, content)
    assert load_checkpoint(local, CPU).epoch == 1


def test_averaged_weights_are_a_file_of_their_own_which_may_be_damaged_too(local):
    checkpoint = replace(make_checkpoint(3), ema={"weight": torch.full((2, 3), 0.5)})
    save_checkpoint(local, checkpoint, keep=2)
    assert load_checkpoint(local, CPU).ema["weight"].tolist() == [[0.5] * 3] * 2
    (local / "epoch-0003").write("ema.safetensors", b"half")
    assert load_checkpoint(local, CPU).epoch == 2
    assert load_checkpoint(local, CPU).ema is None


def test_where_all_are_damaged_there_is_none(local):
    for name in local.folders():
        (local / name).write("model.safetensors", b"half")
    assert load_checkpoint(local, CPU) is None


def change_json(folder, **changes):
    source = folder / "epoch-0002"
    content = json.loads(source.read("trainer.json"))
    source.write("trainer.json", json.dumps({**content, **changes}).encode())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"history": [{"epoch": 1}]}, "cannot be loaded: history.0.train_loss is missing"),
        ({"origin": {}}, "cannot be loaded: origin.candidate is missing"),
        ({"optimizer": {"state.0": 1}}, "cannot be loaded: ValueError"),
        ({"history": []}, r"cannot be loaded: history is \[\]: Tuple should have at least 1 item"),
    ],
)
def test_an_intact_checkpoint_that_cannot_be_loaded_is_an_error(local, changes, reason):
    change_json(local, digest=None, **changes)
    with pytest.raises(ValueError, match=f"epoch-0002 is intact but {reason}") as error:
        load_checkpoint(local, CPU)
    assert "\n" not in str(error.value)


def test_a_store_that_is_away_has_damaged_nothing(anywhere, monkeypatch):
    if anywhere.path:
        pytest.skip("on an object store only")
    save_checkpoint(anywhere, make_checkpoint(1), keep=1)

    def away(self, name):
        raise OSError("no route to host")

    monkeypatch.setattr(Folder, "read", away)
    with pytest.raises(OSError, match="no route"):
        load_checkpoint(anywhere, CPU)


def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(local, monkeypatch):
    monkeypatch.setattr(Folder, "read", failing_read("epoch-0002"))
    assert load_checkpoint(local, CPU).epoch == 1


def test_where_none_can_be_read_training_does_not_begin_anew(local, monkeypatch):
    monkeypatch.setattr(Folder, "read", failing_read("epoch-0001", "epoch-0002"))
    with pytest.raises(OSError, match="Stale file handle"):
        load_checkpoint(local, CPU)


def failing_read(*names):
    """`Folder.read` where the checkpoints of these names are on a file system that is away."""
    read = Folder.read

    def failing(self, name):
        if self.name in names:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(self, name)

    return failing


def test_other_folders_are_no_checkpoints(local):
    (local / "epoch-0003.bak").make()
    assert load_checkpoint(local, CPU).epoch == 2


def test_an_old_checkpoint_without_a_test_top1_is_read(local):
    source = local / "epoch-0002"
    content = json.loads(source.read("trainer.json"))
    del content["test_top1"]
    source.write("trainer.json", json.dumps(content).encode())
    assert load_checkpoint(local, CPU).test_top1 is None


def test_tensors_of_another_digest_are_refused(local):
    with pytest.raises(ValueError, match="is not what was written"):
        read_tensors(local / "epoch-0002", "model.safetensors", {"model.safetensors": "0"})


def test_the_newest_checkpoint_is_found_in_a_folder_and_is_found_itself(local):
    assert newest(local) == local / "epoch-0002"
    assert newest(local / "epoch-0001") == local / "epoch-0001"


def test_a_folder_without_checkpoints_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^no checkpoint in {tmp_path}"):
        newest(Folder(tmp_path))
