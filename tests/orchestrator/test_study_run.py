"""One run of a study from its plan to its report, with a fake cluster: nothing is trained."""

import errno
from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator import study_run
from orchestrator.preflight import TrainingNeeds
from orchestrator.study_run import StudyRun
from storage.folder import Folder
from tests.support.plans import plan_for
from tests.support.studies import after_epochs
from trainers.cost import Cost
from trainers.resources import Resources

COST = Cost("CPU", 64, 100, 1000, images_per_second=4.0, train_images_per_second=100.0, peak_memory=1)


class FakeCluster:
    """A cluster that holds two trials of four threads."""

    def resources(self, loader_workers=0):
        return Resources(threads=4, workers=loader_workers)

    def trials_at_a_time(self):
        return 2

    def most_trials_on_a_node(self):
        return 2

    def call_on_each_node(self, function, *args):
        return {"here": function(*args)}

    def __str__(self):
        return "a cluster"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A run of the seven published placements."""
    monkeypatch.setattr(study_run, "measure_costs", lambda plan, cluster, candidates: [COST])
    plan = plan_for("--results", tmp_path)
    with plan.study.owned():
        yield StudyRun.prepare(plan)


def finish(run, status="done", **changes):
    """Give all trials of a run their last epoch."""
    for trial in run.requested:
        run.queue.recorder.add(trial)
        run.queue.recorder.on_report(*after_epochs(trial, 12))
        run.queue.recorder.on_end(trial.key, status)


def test_a_fresh_study_needs_a_cluster(prepared):
    assert prepared.needs_cluster()
    assert prepared.describe(None).endswith("placement: 7 trials, 7 to train")
    assert prepared.describe(FakeCluster()).endswith("7 to train; a cluster")


def test_a_finished_study_with_all_costs_needs_none(prepared, monkeypatch):
    finish(prepared)
    again = StudyRun.prepare(prepared.plan)
    monkeypatch.setattr(type(prepared.plan), "unmeasured_candidates", lambda plan: [])
    assert not again.needs_cluster()
    assert again.describe(None).endswith("7 trials, 0 to train")


def test_the_preflight_prints_an_estimate(prepared, capsys):
    data = prepared.plan.data
    val = 0.15 * data.num_train
    longest_epoch = (data.num_train - val) / 100 + (val + data.num_test) / 4
    assert prepared.preflight(FakeCluster()) == TrainingNeeds(longest_epoch_seconds=pytest.approx(longest_epoch))
    assert "7 candidates x 1 seeds = 7 trials, 7 to train" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_refused(prepared, monkeypatch):
    monkeypatch.setattr(Folder, "free", lambda folder: 1_000_000)
    with pytest.raises(OSError, match=r"1 MB are free in .*, 38 MB are needed") as error:
        prepared.preflight(FakeCluster())
    assert error.value.errno == errno.ENOSPC


def test_streamed_images_get_as_many_loader_workers_as_keep_up(prepared, monkeypatch):
    monkeypatch.setattr(study_run, "measure_decoding", lambda plan, cluster: 60.0)
    assert prepared.preflight(FakeCluster()).loader_workers == 2  # 1.2 times 100 images per second


def test_where_no_cost_could_be_measured_streamed_images_get_all_threads_but_one(prepared, monkeypatch):
    monkeypatch.setattr(study_run, "measure_costs", lambda plan, cluster, candidates: [])
    assert prepared.preflight(FakeCluster()) == TrainingNeeds()
    streamed = replace(prepared, plan=replace(prepared.plan, data=SimpleNamespace(streamed=True)))
    monkeypatch.setattr(study_run, "candidate_sizes", lambda plan, trials: {"c": SimpleNamespace(flops=1)})
    assert streamed.preflight(FakeCluster()) == TrainingNeeds(loader_workers=3)


def test_what_the_pending_trials_still_write_is_described(prepared):
    text = prepared.describe_remaining_disk(FakeCluster())
    assert text.startswith("; pending trials: about 38 MB of disk needed in ")


def test_a_failed_trial_is_printed_with_its_error_and_traceback_file(prepared, capsys):
    trial = prepared.requested[0]
    prepared.queue.recorder.add(trial)
    prepared.queue.recorder.on_failure(trial.key, "KeyError: 'x'", "Traceback")
    assert prepared.print_unfinished()
    line = capsys.readouterr().err
    assert line.startswith(f"no result yet: {trial.candidate} seed 0: KeyError: 'x' (")
    assert line.endswith(f"errors/{trial.key}.txt)\n")


def test_of_a_finished_study_nothing_is_printed(prepared, capsys):
    finish(prepared)
    capsys.readouterr()
    assert not prepared.print_unfinished()
    assert capsys.readouterr().err == ""


def test_imported_trials_are_counted(prepared, capsys):
    finish(prepared)
    other = plan_for("--results", prepared.plan.study.folder.parent.path, "--study", "other")
    with other.study.owned():
        run = StudyRun.prepare(other, reuse=True)
    assert "7 trials imported from other studies" in capsys.readouterr().out
    assert run.describe(None).endswith("7 trials, 0 to train")
