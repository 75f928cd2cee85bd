from dataclasses import replace

import pytest

from results.records import TrialRecord
from results.reuse import import_trials
from results.store import Study
from tests.support.studies import epoch_record, trial_record

DONE = {"status": "paused", "epoch": 2, "code": "1"}


@pytest.fixture
def other(study):
    """Another study in the same folder."""
    other = Study("other", study.folder.parent)
    with other.owned():
        other.begin(study.settings())
    return other


def trained(study, **changes):
    record = trial_record(**{"study": study.name, "published": False, **DONE, **changes})
    study.write("trials", record.key, [record])
    study.write("epochs", record.key, [epoch_record(record.key, 1), epoch_record(record.key, 2)])
    return record


def counterpart(record):
    """This study's trial that the other study's can replace."""
    return trial_record(seed=record.seed, code="1", study="s")


def test_a_trial_with_the_same_key_and_code_is_imported_with_its_epochs(study, other):
    record = trained(other)
    assert import_trials(study, counterpart) == 1
    row = replace(record, study="s", published=True, number=0, reused="other", reused_epochs=2)
    assert study.records(TrialRecord) == [row]
    assert study.epochs().equals(other.epochs())


@pytest.mark.parametrize("changes", [{"status": "failed"}, {"status": "running"}, {"code": "2"}, {"budget": 9}])
def test_other_code_or_budget_or_a_trial_that_has_not_ended_is_not_imported(study, other, changes):
    trained(other, **changes)
    assert import_trials(study, counterpart) == 0
    assert study.trials().empty


def test_a_paused_trial_brings_its_checkpoints(study, other):
    record = trained(other, status="paused")
    checkpoint = other.folder.path / "checkpoints" / record.key / "epoch-0002"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer.json").write_text("{}")
    assert import_trials(study, counterpart) == 1
    assert (study.folder.path / "checkpoints" / record.key / "epoch-0002" / "trainer.json").read_text() == "{}"


def test_a_trial_without_a_counterpart_is_not_imported(study, other):
    trained(other)
    assert import_trials(study, lambda record: None) == 0


def test_a_trial_that_the_study_has_is_not_replaced(study, other):
    mine = trial_record(number=4)
    study.write("trials", mine.key, [mine])
    trained(other)
    trained(other, seed=1)
    assert import_trials(study, counterpart) == 1
    assert [(record.seed, record.number, record.reused) for record in study.records(TrialRecord)] == [
        (0, 4, None),
        (1, 5, "other"),
    ]


def test_a_trial_imported_twice_names_the_study_that_trained_it(study, other):
    trained(other, reused="first")
    import_trials(study, counterpart)
    assert study.records(TrialRecord)[0].reused == "first"


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_trial_that_lacks_epochs_is_not_imported(study, other, epochs):
    record = trained(other)
    other.write("epochs", record.key, [epoch_record(record.key, 1)] * epochs)
    assert import_trials(study, counterpart) == 0


def test_a_done_trial_brings_no_checkpoints(study, other):
    record = trained(other, status="done", budget=2)
    checkpoint = other.folder / "checkpoints" / record.key / "epoch-0002"
    checkpoint.make()
    checkpoint.write("trainer.json", b"{}")
    assert import_trials(study, lambda record: replace(counterpart(record), budget=2)) == 1
    assert (study.folder / "checkpoints").folders() == []


def test_a_stopped_trial_is_imported_as_paused_because_another_baseline_judged_it(study, other):
    trained(other, status="stopped", stopped_because="it was forecast to lose", forecast=-2.0)
    assert import_trials(study, counterpart) == 1
    (row,) = study.records(TrialRecord)
    assert (row.status, row.stopped_because, row.forecast) == ("paused", None, None)
