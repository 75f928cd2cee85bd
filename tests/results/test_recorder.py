import math
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from results.progress import Progress
from results.recorder import Recorder
from results.records import TrialRecord
from tests.support.studies import after_epochs, trial_record


def row(study):
    """The only trial of the study."""
    (record,) = study.records(TrialRecord)
    return record


@pytest.fixture
def record():
    return trial_record()


@pytest.fixture
def recorder(study, record, quiet):
    return Recorder(study, [record], quiet)


def test_a_started_trial_is_running_without_an_error(study, record):
    failed = replace(record, status="failed", error="ValueError: no")
    Recorder(study, [failed]).on_start(record.key)
    assert (row(study).status, row(study).error) == ("running", None)


def test_a_report_writes_the_trial_and_its_epochs(study, recorder, record):
    recorder.on_report(*after_epochs(record, 2))
    assert (row(study).status, row(study).epoch, row(study).top1, row(study).seconds) == ("running", 2, 92.0, 4.0)
    assert study.epochs()["epoch"].tolist() == [1, 2]
    assert recorder.curves[record.key] == [91.0, 92.0]


def test_a_report_repairs_one_that_was_lost(study, recorder, record):
    recorder.on_report(*after_epochs(record, 1))
    recorder.on_report(*after_epochs(record, 3))
    assert study.epochs()["epoch"].tolist() == [1, 2, 3]


def test_the_note_of_a_report_is_printed(study, record):
    screen = StringIO()
    progress = Progress([], console=Console(file=screen, width=200))
    Recorder(study, [record], progress).on_report(*after_epochs(record, 1), note="half the batch fits")
    assert f"{record.candidate} seed 0: half the batch fits" in screen.getvalue()


@pytest.mark.parametrize("status", ["done", "paused", "stopped", "diverged"])
def test_an_ended_trial_has_its_status_and_is_finished(study, recorder, record, status):
    recorder.on_report(*after_epochs(record, record.budget))
    recorder.on_end(record.key, status)
    assert row(study).status == status
    assert recorder.unfinished() == []


def test_a_diverged_epoch_is_nan_in_the_curve(recorder, record):
    row, epochs = after_epochs(record, 1)
    recorder.on_report(row, [replace(epochs[0], top1=None)])
    assert math.isnan(recorder.curves[record.key][0])


def test_added_trials_are_numbered_after_all_others(study):
    recorder = Recorder(study, [trial_record(seed=0, number=0), trial_record(seed=1, number=2)])
    recorder.add(trial_record(seed=2))
    assert [record.number for record in recorder.records.values()] == [0, 2, 3]


def test_a_failed_trial_keeps_its_message_and_its_traceback(study, recorder, record):
    recorder.on_failure(record.key, "ValueError: no", "Traceback\n  line\nValueError: no\n")
    assert (row(study).status, row(study).error) == ("failed", "ValueError: no")
    assert (study.folder / "errors").read(f"{record.key}.txt") == b"Traceback\n  line\nValueError: no\n"
    assert [record.status for record in recorder.unfinished()] == ["failed"]


def test_a_failure_without_a_traceback_keeps_its_message_as_a_file(study, recorder, record):
    recorder.on_failure(record.key, "no epoch for 15 minutes, twice")
    assert (study.folder / "errors").read(f"{record.key}.txt") == b"no epoch for 15 minutes, twice"


def test_an_interruption_is_printed_with_the_epoch_that_the_trial_resumes_from(study, record):
    screen = StringIO()
    progress = Progress([], console=Console(file=screen, width=200))
    Recorder(study, [replace(record, epoch=2)], progress).on_interruption(record.key, "its process died")
    assert "seed 0: its process died; goes on from epoch 2" in screen.getvalue()
    assert study.trials().empty


def test_a_line_about_the_study_is_shown(study):
    screen = StringIO()
    Recorder(study, [], Progress([], console=Console(file=screen, width=200))).announce("GPU 1 is out of use")
    assert screen.getvalue() == "GPU 1 is out of use\n"


def test_curves_of_stored_epochs_are_read(study, recorder, record):
    recorder.on_report(*after_epochs(record, 2))
    assert Recorder(study, [record, trial_record(seed=1)]).curves[record.key] == [91.0, 92.0]


def test_a_stopped_trial_has_its_reason_until_it_is_started_again(study, recorder, record):
    recorder.on_stop(replace(record, status="stopped", stopped_because="it was forecast to lose", forecast=-2.0))
    assert (row(study).status, row(study).stopped_because) == ("stopped", "it was forecast to lose")
    recorder.on_start(record.key)
    assert (row(study).status, row(study).stopped_because, row(study).forecast) == ("running", None, None)
