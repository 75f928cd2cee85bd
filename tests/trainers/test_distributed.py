"""Several ranks train as one does; memory that does not suffice; ranks that die. Real processes, gloo, on a CPU."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.folder import Folder
from tests.support.paths import ROOT
from trainers.data.open_dataset import open_streamed
from trainers.distributed import results_of_ranks
from trainers.rank_context import RankContext
from trainers.resources import Resources
from trainers.run_trial import RankDiedError, Run, run
from trainers.trainer import Trainer

CANDIDATE = "caformer_micro-dwconv-cska-ska-attn"
TRAINING = ("train_images", "train_labels")
LOSSES = ("train_loss", "val_loss", "top1")


@pytest.fixture
def task(shapes, quick, tmp_path):
    """Three epochs of three steps, without drop path, whose draws differ from rank to rank."""
    recipe = replace(quick, drop_path=0.0)
    return Run(CANDIDATE, recipe, shapes, seed=0, folder=Folder(tmp_path), share=Resources(), until=3)


def more(data, times):
    """The same training images so many times."""
    return replace(data, **{name: np.tile(getattr(data, name).T, times).T for name in TRAINING})


def curve(results):
    return [[epoch[name] for name in LOSSES] for epoch in list(results)[-1]["history"]]


def test_parts_of_a_batch_lie_side_by_side():
    assert [part.tolist() for part in RankContext(0, 2).parts(10, 2)] == [[0, 1], [4, 5], [8]]
    assert [part.tolist() for part in RankContext(1, 2).parts(10, 2)] == [[2, 3], [6, 7], [9]]
    assert [part.tolist() for part in RankContext().parts(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_every_image_of_a_batch_is_somebodys():
    for size, micro in [(1, 3), (2, 4), (3, 2), (4, 100)]:
        positions = [
            i for rank in range(size) for part in RankContext(rank, size).parts(24, micro) for i in part.tolist()
        ]
        assert sorted(positions) == list(range(24))


def test_two_ranks_give_the_loss_curve_of_one_with_twice_the_micro_batch(task, tmp_path):
    two = replace(task, share=Resources(ranks=2), micro_batch=4, folder=Folder(tmp_path / "two"))
    results = list(results_of_ranks(two))
    one = curve(replace(task, micro_batch=8).results())
    assert curve(results) == [pytest.approx(row, abs=1e-4) for row in one]
    assert (results[-1]["ranks"], results[-1]["micro_batch"], results[-1]["accumulation"]) == (2, 4, 2)
    assert results[-1]["test_top1"] is not None
    assert not active_children()


def test_accumulated_passes_give_the_curve_of_the_whole_batch(task, tmp_path):
    parts = replace(task, micro_batch=5, folder=Folder(tmp_path / "parts")).results()
    assert curve(parts) == [pytest.approx(row, abs=1e-4) for row in curve(task.results())]


def test_a_killed_rank_is_replaced_and_changes_nothing(task):
    task = replace(task, data=more(task.data, 8))
    undisturbed = curve(replace(task, folder=None).results())
    results = run(replace(task, share=Resources(ranks=2)))
    first = next(results)
    os.kill(next(child.pid for child in active_children() if child.name == "rank 1"), signal.SIGKILL)
    rest = list(results)
    assert first["note"] is None
    assert rest[-1]["epoch"] == 3
    assert curve(rest) == [pytest.approx(row, abs=1e-4) for row in undisturbed]
    assert rest[0]["note"] == "rank 1 died with exit code -9; went on from the last checkpoint"


def test_ranks_that_die_again_and_again_are_given_up(task, monkeypatch):
    def dying(task):
        raise RankDiedError("rank 1 died with exit code -9")
        yield

    monkeypatch.setattr("trainers.distributed.results_of_ranks", dying)
    with pytest.raises(RankDiedError):
        next(run(replace(task, share=Resources(ranks=2))))


def test_what_a_rank_raises_is_raised_here(task):
    recipe = replace(task.recipe, optimizer="nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        next(results_of_ranks(replace(task, recipe=recipe, share=Resources(ranks=2))))
    assert not active_children()


def test_an_image_that_cannot_be_decoded_is_named_by_ranks_as_by_one(task, tmp_path):
    for split in ("train", "val"):
        for label in "ab":
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(6):
                (tmp_path / split / label / f"{number}.png").write_bytes(b"no image")
    streamed = replace(task.recipe, streamed=True, batch_size=4)
    broken = replace(task, recipe=streamed, data=open_streamed(str(tmp_path)), share=Resources(ranks=2))
    with pytest.raises(ValueError, match="cannot be decoded: not an image"):
        next(results_of_ranks(broken))


def test_memory_that_is_short_when_a_checkpoint_is_read_is_no_damage(task, monkeypatch):
    next(run(task))

    def full(*args):
        raise torch.OutOfMemoryError("no room for the optimizer")

    monkeypatch.setattr("torch.optim.AdamW.load_state_dict", full)
    with pytest.raises(torch.OutOfMemoryError):
        next(run(replace(task, reported=1)))


def test_epochs_beyond_a_new_start_are_dropped_and_the_new_ones_kept(task):
    list(run(task))
    folder = task.folder.path
    (folder / "epoch-0003" / "model.safetensors").write_bytes(b"damaged")
    next(run(task))
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0001"]


def test_no_rank_outlives_the_process_that_started_it(tmp_path):
    process = subprocess.Popen([sys.executable, __file__, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "pids").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def little_memory(monkeypatch):
    """A device on which more than so many images at a time do not fit; None: all do."""
    limits = [None]
    forward = Trainer._loss

    def limited(self, logits, labels):
        if limits[0] and len(labels) > limits[0]:
            raise torch.OutOfMemoryError(f"{len(labels)} images")
        return forward(self, logits, labels)

    monkeypatch.setattr(Trainer, "_loss", limited)
    return limits


def test_what_does_not_fit_is_trained_in_smaller_passes_with_the_same_batch(task, tmp_path, little_memory):
    task = replace(task, data=more(task.data, 5), recipe=replace(task.recipe, batch_size=256))
    whole = curve(run(task))
    little_memory[0] = 128
    results = list(run(replace(task, folder=Folder(tmp_path / "little"))))
    assert curve(results) == [pytest.approx(row, abs=1e-4) for row in whole]
    assert (results[0]["micro_batch"], results[0]["accumulation"]) == (128, 2)
    assert results[0]["note"] == "256 images at a time do not fit into memory: goes on with 128 x 2"


def test_memory_that_runs_out_later_goes_on_from_the_checkpoint(task, little_memory):
    results = run(task)
    assert next(results)["micro_batch"] == 16
    little_memory[0] = 8
    assert [(result["epoch"], result["micro_batch"]) for result in results] == [(2, 8), (3, 8)]


def test_a_single_image_that_does_not_fit_is_an_error(task, little_memory):
    little_memory[0] = 0.5
    with pytest.raises(torch.OutOfMemoryError):
        next(run(task))


def main(folder: Path) -> None:
    """Two ranks that train for long; their process ids in a file."""
    from trainers.data.open_dataset import load_in_memory
    from trainers.recipes import DIGITS

    task = Run(CANDIDATE, DIGITS, load_in_memory("digits", 32), 0, None, Resources(ranks=2), until=12)
    results = results_of_ranks(task)
    next(results)
    (folder / "part").write_text(" ".join(str(child.pid) for child in active_children()))
    (folder / "part").rename(folder / "pids")
    time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
