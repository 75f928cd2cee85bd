"""What a trial reports, and how it recovers. One process."""

import json
from dataclasses import replace
from itertools import islice
from multiprocessing import active_children

import numpy as np
import pytest
import torch

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.streams import logged_dataset, reading_processes
from tests.support.training import curve
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.training_model import TrainingModel
from trainers.trial_task import Failure, TrainingSetup, TrialTask
from trainers.version import code

TASK = TrialTask(key="k", candidate=Candidate.parse("caformer_micro-dwconv-cska-ska-attn"), seed=0, until=3)


@pytest.fixture
def setup(shapes, quick, tmp_path):
    return TrainingSetup(recipe=quick, data=shapes, resources=Resources(), checkpoints=Folder(tmp_path))


def with_micro_batch(setup, images):
    return replace(setup, recipe=replace(setup.recipe, micro_batch=16 * images))  # a CPU takes a sixteenth


def test_a_report_has_all_epochs_and_the_last_one_the_test_top1(setup):
    reports = list(run_trial(TASK, setup))
    assert [len(report.history) for report in reports] == [1, 2, 3]
    assert [report.test_top1 is not None for report in reports] == [False, False, True]
    assert [report.finished for report in reports] == [False, False, True]


def test_a_finished_trial_reports_again_without_training(setup, tmp_path):
    last = list(run_trial(TASK, setup))[-1]
    assert list(run_trial(TASK, setup)) == [last]
    content = json.loads((tmp_path / "k" / "epoch-0003" / "trainer.json").read_text())
    assert content["test_top1"] == last.test_top1


def test_an_epoch_whose_rows_were_lost_is_reported_before_the_next_is_trained(setup):
    list(islice(run_trial(TASK, setup), 2))
    assert next(run_trial(replace(TASK, reported_epochs=1), setup)).epoch == 2
    assert next(run_trial(replace(TASK, reported_epochs=2), setup)).epoch == 3


def test_a_trial_pauses_at_the_epoch_that_it_was_given(setup):
    (report,) = run_trial(replace(TASK, until=1), setup)
    assert (report.epoch, report.finished, report.test_top1) == (1, False, None)


def test_loader_processes_live_as_long_as_the_trial(setup, tmp_path):
    recipe = replace(setup.recipe, epochs=2, streamed=True, crop_padding=0)
    streamed = replace(setup, recipe=recipe, data=logged_dataset(tmp_path / "log"), resources=Resources(workers=2))
    reports = run_trial(TASK, streamed)
    next(reports)
    assert len(active_children()) == 2
    (last,) = reports
    assert last.test_top1 is not None
    assert len(reading_processes(tmp_path / "log")) == 2  # in two epochs, two validations and a test
    assert not active_children()


def test_loader_processes_end_with_a_trial_that_is_not_asked_to_go_on(setup, tmp_path):
    recipe = replace(setup.recipe, streamed=True, crop_padding=0)
    streamed = replace(setup, recipe=recipe, data=logged_dataset(tmp_path / "log"), resources=Resources(workers=1))
    reports = run_trial(TASK, streamed)
    next(reports)
    reports.close()
    assert not active_children()


def test_an_error_in_training_is_a_failure_with_a_traceback(setup):
    wrong = replace(setup, recipe=replace(setup.recipe, optimizer="nonsense"))
    (failure,) = run_trial(TASK, wrong)
    assert isinstance(failure, Failure)
    assert "nonsense" in failure.message
    assert failure.traceback.startswith("Traceback")


def test_a_process_with_other_code_trains_nothing(setup):
    (failure,) = run_trial(TASK, replace(setup, code="0badc0de"))
    assert failure.kind == "code"
    assert failure.message == f"the code has changed while the study ran: {code()} here, 0badc0de at the start"


def test_a_process_with_the_same_code_trains(setup):
    outcome = next(iter(run_trial(TASK, replace(setup, code=code()))))
    assert outcome.epoch == 1


@pytest.fixture
def memory_limit(monkeypatch):
    """`memory_limit[0]` images at a time fit into the device's memory; None: any number."""
    limit = [None]
    loss = TrainingModel.loss

    def limited_loss(self, images, labels):
        if limit[0] and len(images) > limit[0]:
            raise torch.OutOfMemoryError(f"{len(images)} images")
        return loss(self, images, labels)

    monkeypatch.setattr(TrainingModel, "loss", limited_loss)
    return limit


def test_accumulated_passes_give_the_curve_of_the_whole_batch(setup):
    setup = replace(setup, checkpoints=None, recipe=replace(setup.recipe, drop_path=0.0))
    expected = curve(run_trial(TASK, setup))
    assert curve(run_trial(TASK, with_micro_batch(setup, 5))) == [pytest.approx(row, abs=1e-4) for row in expected]


def test_what_does_not_fit_is_trained_in_smaller_passes_with_the_same_batch(setup, memory_limit):
    data = setup.data
    images = np.tile(data.train_images, (5, 1, 1, 1))
    data = replace(data, train_images=images, train_labels=np.tile(data.train_labels, 5))
    recipe = replace(setup.recipe, batch_size=256, drop_path=0.0)
    setup = replace(setup, data=data, recipe=recipe, checkpoints=None)
    expected = curve(run_trial(TASK, setup))
    memory_limit[0] = 128
    reports = list(run_trial(TASK, setup))
    assert curve(reports) == [pytest.approx(row, abs=1e-4) for row in expected]
    assert (reports[0].micro_batch, reports[0].accumulation) == (128, 2)
    assert reports[0].note == "256 images at a time do not fit into memory: goes on with 128 x 2"


class FakeMemory:
    """A device that holds steps of up to five images."""

    def available(self):
        return 1000

    def peak(self, images):
        return int(0.9 * 1000 * images / 5.5)


def test_the_micro_batch_is_chosen_by_memory_recorded_and_changes_no_result(setup, monkeypatch):
    setup = replace(setup, checkpoints=None, recipe=replace(setup.recipe, drop_path=0.0))
    expected = curve(run_trial(TASK, setup))
    monkeypatch.setattr("trainers.run_trial.step_memory", lambda candidate, setup, largest: FakeMemory())
    reports = list(run_trial(TASK, setup))
    assert [(report.micro_batch, report.accumulation) for report in reports] == [(4, 4)] * 3
    assert curve(reports) == [pytest.approx(row, abs=1e-4) for row in expected]


def test_a_choice_that_does_not_fit_is_halved_and_not_what_it_was_chosen_from(setup, memory_limit, monkeypatch):
    monkeypatch.setattr("trainers.run_trial.step_memory", lambda candidate, setup, largest: FakeMemory())
    memory_limit[0] = 3
    report = next(run_trial(TASK, replace(setup, recipe=replace(setup.recipe, batch_size=12))))
    assert report.micro_batch == 2
    assert report.note == "4 images at a time do not fit into memory: goes on with 2 x 6"


def test_memory_that_runs_out_later_goes_on_from_the_checkpoint(setup, memory_limit):
    reports = run_trial(TASK, setup)
    assert next(reports).micro_batch == 16
    memory_limit[0] = 8
    assert [(report.epoch, report.micro_batch) for report in reports] == [(2, 8), (3, 8)]


def test_a_single_image_that_does_not_fit_is_a_failure(setup, memory_limit):
    memory_limit[0] = 0.5
    (failure,) = run_trial(TASK, with_micro_batch(setup, 2))
    assert failure.kind == "memory"


def test_memory_that_is_short_when_a_checkpoint_is_read_is_no_damage(setup, monkeypatch):
    setup = with_micro_batch(setup, 2)
    next(run_trial(TASK, setup))

    def full(*args):
        raise torch.OutOfMemoryError("no room for the optimizer")

    monkeypatch.setattr("torch.optim.AdamW.load_state_dict", full)
    (failure,) = run_trial(replace(TASK, reported_epochs=1), setup)
    assert (failure.kind, failure.message) == ("memory", "no room for the optimizer")


def test_epochs_beyond_a_new_start_are_dropped_and_the_new_ones_kept(setup, tmp_path):
    list(run_trial(TASK, setup))
    (tmp_path / "k" / "epoch-0003" / "model.safetensors").write_bytes(b"damaged")
    next(run_trial(TASK, setup))
    assert sorted(path.name for path in (tmp_path / "k").iterdir()) == ["epoch-0001"]
