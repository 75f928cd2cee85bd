"""Ranks go on from one and the same checkpoint, or from none."""

import errno
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.checkpoints import make_checkpoint
from trainers.checkpoint import save_checkpoint
from trainers.distributed import run_on_ranks
from trainers.rank_context import RankContext
from trainers.resources import Resources
from trainers.resume import load_agreed_checkpoint, require_same_epoch
from trainers.run_trial import report_epochs, run_trial
from trainers.trial_task import Failure, TrainingSetup, TrialTask

CPU = torch.device("cpu")
TASK = TrialTask(key="k", candidate=Candidate.parse("caformer_micro-dwconv-ska-dwconv-dwconv"), seed=0, until=3)


@dataclass(frozen=True)
class FakeRanks(RankContext):
    """One of two ranks, without the other: `heard` is what the collectives give."""

    size: int = 2
    heard: Tensor | None = None

    def broadcast(self, values: Tensor) -> Tensor:
        return values if self.heard is None else self.heard

    max = broadcast


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of epochs 1 and 2."""
    for epochs in (1, 2):
        save_checkpoint(Folder(tmp_path), make_checkpoint(epochs), keep=2)
    return Folder(tmp_path)


def said_by_rank_0(folder):
    """What rank 0 broadcasts about `folder`."""
    said = []

    class Listening(FakeRanks):
        def broadcast(self, values):
            said.append(values.clone())
            return values

    load_agreed_checkpoint(folder, CPU, Listening())
    return said[0]


def test_rank_1_loads_what_rank_0_chose_though_it_sees_a_newer_one(folder):
    chosen = said_by_rank_0(folder)
    save_checkpoint(folder, make_checkpoint(3), keep=3)
    assert load_agreed_checkpoint(folder, CPU, FakeRanks(rank=1, heard=chosen)).epoch == 2


def test_rank_1_begins_anew_where_rank_0_does(folder, tmp_path):
    none = said_by_rank_0(Folder(tmp_path / "empty"))
    assert load_agreed_checkpoint(folder, CPU, FakeRanks(rank=1, heard=none)) is None


def test_a_checkpoint_that_rank_1_does_not_find_yet_may_be_tried_again(folder):
    chosen = said_by_rank_0(folder)
    folder.remove("epoch-0002")
    with pytest.raises(
        OSError, match=r"rank 1 cannot read the checkpoint of epoch 2 in .*, which rank 0 reads"
    ) as error:
        load_agreed_checkpoint(folder, CPU, FakeRanks(rank=1, heard=chosen))
    assert error.value.errno == errno.ESTALE
    assert str(folder) in str(error.value)


def test_another_content_is_refused(folder):
    chosen = said_by_rank_0(folder)
    checkpoint = make_checkpoint(2)
    save_checkpoint(folder, replace(checkpoint, scaler={"scale": 2.0}), keep=2)
    with pytest.raises(
        ValueError, match=r"rank 1 reads another content of the checkpoint of epoch 2 in .* than rank 0"
    ):
        load_agreed_checkpoint(folder, CPU, FakeRanks(rank=1, heard=chosen))


def test_a_checkpoint_that_is_damaged_for_rank_1_alone_is_refused(folder):
    chosen = said_by_rank_0(folder)
    (folder / "epoch-0002").write("optimizer.safetensors", b"half")
    with pytest.raises(
        ValueError, match=r"rank 1 finds the checkpoint of epoch 2 in .* damaged, which rank 0 does not"
    ):
        load_agreed_checkpoint(folder, CPU, FakeRanks(rank=1, heard=chosen))


@pytest.mark.parametrize("heard", [[5, 4, -4, -4], [4, 5, -4, -4]])
def test_ranks_at_different_epochs_are_refused_in_one_line(heard):
    with pytest.raises(ValueError, match=r"rank 1 has completed 4 epochs") as error:
        require_same_epoch(4, 4, CPU, FakeRanks(rank=1, heard=torch.tensor(heard)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("context", [FakeRanks(rank=1, heard=torch.tensor([4, 4, -4, -4])), RankContext()])
def test_ranks_at_the_same_epoch_agree(context):
    assert require_same_epoch(4, 4, CPU, context) is None


def train_with_fault(fault, task, setup, context):
    """`report_epochs` on a rank; rank 1 has this fault."""
    if context.rank == 1:
        fault(setup.folder_of(task))
    yield from report_epochs(task, setup, None, context)


def cannot_read_the_newest(folder):
    read = Folder.read

    def failing(self, name):
        if self.name == "epoch-0002":
            raise OSError(errno.EIO, "Input/output error")
        return read(self, name)

    Folder.read = failing


def sees_the_store_as_it_was(folder):
    """Epoch 2 is not there yet, as on a store or a shared file system that shows files late."""
    read = Folder.read

    def stale(self, name):
        return read(folder / "absent" if self.name == "epoch-0002" else self, name)

    Folder.read = stale
    Folder.folders = lambda self: ["epoch-0001"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [cannot_read_the_newest, sees_the_store_as_it_was])
def test_two_ranks_that_see_different_checkpoints_train_nothing(shapes, quick, tmp_path, fault):
    one = TrainingSetup(recipe=quick, data=shapes, resources=Resources(), checkpoints=Folder(tmp_path))
    assert len(list(run_trial(replace(TASK, until=2), one))) == 2
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    setup = replace(one, resources=Resources(ranks=2))
    (failure,) = run_on_ranks(partial(train_with_fault, fault, TASK, setup), 2, "cpu")
    assert isinstance(failure, Failure)
    assert failure.kind == "io"
    assert f"rank 1 cannot read the checkpoint of epoch 2 in {tmp_path / 'k'}" in failure.message
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
