from dataclasses import asdict

import pyarrow as pa

from results.records import EpochRecord, TrialRecord, schema
from results.table_checks import contradictions, disagreements
from tests.support.studies import KEY, epoch_record, trial_record


def tables(trials, epochs):
    """Both tables of these records."""
    return (
        pa.Table.from_pylist([asdict(record) for record in trials], schema=schema(TrialRecord)),
        pa.Table.from_pylist([asdict(record) for record in epochs], schema=schema(EpochRecord)),
    )


def test_rows_that_agree_have_nothing_said_of_them():
    agreeing = tables([trial_record(status="paused", epoch=1, top1=90.0)], [epoch_record()])
    assert contradictions(*agreeing) == {}
    assert list(disagreements(*agreeing)) == []


def test_an_ended_trials_top1_is_that_of_its_last_epoch():
    forged = tables([trial_record(status="paused", epoch=1, top1=95.0)], [epoch_record()])
    assert contradictions(*forged) == {0: "it ended with top-1 95.0 and its last epoch has 90.0"}


def test_a_running_trial_may_be_behind():
    behind = tables([trial_record(epoch=1, top1=80.0)], [epoch_record(), epoch_record(epoch=2)])
    assert contradictions(*behind) == {}
    assert list(disagreements(*behind)) == []


def test_missing_epochs_and_missing_trials_are_named():
    assert list(disagreements(*tables([trial_record(status="paused", epoch=2)], []))) == [
        f"{KEY} is paused at epoch 2 and has 0 epochs"
    ]
    assert list(disagreements(*tables([], [epoch_record()]))) == [f"{KEY} has epochs and no trial"]
