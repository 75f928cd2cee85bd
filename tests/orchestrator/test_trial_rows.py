"""What a trial reports, as a result for Tune and as rows."""

import math
from dataclasses import fields, replace

import pytest

from orchestrator.gpu_placement import Placement
from orchestrator.trial_rows import end_status, epoch_rows, trial_row, tune_result
from results.records import EpochRecord
from searchspace.candidate import Candidate
from tests.support.reports import make_epoch, make_report
from tests.support.studies import trial_record
from trainers.trial_task import EpochMetrics, Failure, TrialTask

RECORD = trial_record()
TASK = TrialTask(key="k", candidate=Candidate.parse(RECORD.candidate), seed=0, until=2)
DIVERGED = make_report([], history=(make_epoch(1, math.nan, train_loss=math.inf, val_loss=math.nan),), finished=True)


def test_a_trial_row_has_the_newest_top1_and_the_seconds_of_all_epochs():
    row = trial_row(RECORD, make_report([91.0, 92.0], epoch_seconds=2.0))
    assert (row.epoch, row.top1, row.seconds) == (2, 92.0, 4.0)


def test_a_trial_row_keeps_what_the_report_does_not_say():
    row = trial_row(RECORD, make_report([91.0], micro_batch=8, accumulation=4))
    assert (row.micro_batch, row.accumulation) == (8, 4)
    assert replace(row, epoch=0, top1=None, seconds=0.0, **dict.fromkeys(("ranks", "micro_batch", "accumulation")),
                   device="", torch="") == RECORD  # fmt: skip


def test_accuracies_of_averaged_weights_have_columns_of_their_own():
    report = make_report([], history=(make_epoch(1, 91.0, ema_top1=92.5),), ema_test_top1=93.0)
    row = trial_row(RECORD, report)
    assert (row.top1, row.ema_top1, row.ema_test_top1) == (91.0, 92.5, 93.0)
    assert epoch_rows(RECORD, report)[0].ema_top1 == 92.5


def test_every_metric_of_an_epoch_is_a_column():
    columns = {field.name for field in fields(EpochRecord)}
    assert {field.name for field in fields(EpochMetrics)} <= columns


def test_there_is_an_epoch_row_for_every_epoch():
    rows = epoch_rows(RECORD, make_report([91.0, 92.0]))
    assert [(row.key, row.epoch, row.top1) for row in rows] == [(RECORD.key, 1, 91.0), (RECORD.key, 2, 92.0)]


def test_numbers_that_are_not_finite_become_null():
    row = epoch_rows(RECORD, DIVERGED)[0]
    assert (row.train_loss, row.val_loss, row.top1) == (None, None, None)
    assert trial_row(RECORD, DIVERGED).top1 is None


@pytest.mark.parametrize(
    ("report", "status"),
    [(make_report([90.0], finished=True), "done"), (make_report([90.0]), "paused"), (DIVERGED, "diverged")],
)
def test_how_a_trial_ends(report, status):
    assert end_status(report) == status


def test_tune_is_told_top1_and_when_to_end():
    results = [tune_result(make_report([90.0] * epochs), TASK) for epochs in (1, 2)]
    assert [(result["top1"], result["done"]) for result in results] == [(90.0, False), (90.0, True)]
    assert tune_result(DIVERGED, TASK)["top1"] == 0.0


def test_a_failure_ends_the_trial_for_tune():
    failure = Failure("error", "no")
    result = tune_result(failure, TASK)
    assert (result["placement"], result["report"], result["failure"], result["done"]) == (None, None, failure, True)


def test_the_first_result_says_where_the_trial_runs_and_lets_it_go_on():
    placement = Placement("node", "host", 17)
    result = tune_result(placement, TASK)
    assert (result["placement"], result["report"], result["failure"], result["done"]) == (placement, None, None, False)
