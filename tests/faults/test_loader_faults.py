"""Images that cannot be read and loader processes that are killed, in a real training with real loader processes."""

import errno
import os
import signal
from dataclasses import replace

import pytest

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.images import write_jpeg_folders
from trainers.data import class_folders
from trainers.data.decoding import ImageReadError
from trainers.data.open_dataset import open_streamed
from trainers.recipes import ABLATION
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trial_task import Failure, TrainingSetup, TrialTask

TASK = TrialTask(key="k", candidate=Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), seed=0, until=2)


@pytest.fixture
def setup(tmp_path):
    """Two epochs on 40 images of 16 px, which two loader processes decode."""
    write_jpeg_folders(tmp_path / "images")
    changes = {"backbone": "caformer_micro", "img_size": 16, "epochs": 2, "warmup_epochs": 1, "stop_epoch": 2}
    recipe = replace(ABLATION, name="tiny", batch_size=16, micro_batch=128, **changes)
    data = open_streamed(str(tmp_path / "images"))
    return TrainingSetup(
        recipe=recipe, data=data, resources=Resources(workers=2), checkpoints=Folder(tmp_path / "checkpoints")
    )


def meet_once(monkeypatch, tmp_path, fault):
    """Let `fault` meet the first image that is read after an epoch is saved, in the loader process that reads it."""
    read = class_folders.read_image_file
    mark = tmp_path / "met"

    def read_or_fail(path):
        if (tmp_path / "checkpoints" / "k" / "epoch-0001").exists() and not mark.exists():
            mark.touch()
            fault(path)
        return read(path)

    monkeypatch.setattr(class_folders, "read_image_file", read_or_fail)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "text"), [(signal.SIGKILL, "Killed"), (signal.SIGBUS, "Bus error")])
def test_a_killed_loader_process_costs_the_epoch_in_flight(setup, tmp_path, monkeypatch, number, text):
    meet_once(monkeypatch, tmp_path, lambda path: os.kill(os.getpid(), number))
    reports = list(run_trial(TASK, setup))
    assert [report.epoch for report in reports] == [1, 2]
    assert text in reports[1].note
    assert reports[1].note.endswith("went on from the last checkpoint")


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_an_image_that_cannot_be_read_is_named_and_the_next_attempt_goes_on(setup, tmp_path, monkeypatch, number):
    def fail(path):
        raise ImageReadError.of(OSError(number, os.strerror(number)), path)

    meet_once(monkeypatch, tmp_path, fail)
    *reports, failure = run_trial(TASK, setup)
    assert [report.epoch for report in reports] == [1]
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.errno) == ("io", number)
    assert failure.message.startswith(str(tmp_path / "images"))
    assert [report.epoch for report in run_trial(replace(TASK, reported_epochs=1), setup)] == [2]
