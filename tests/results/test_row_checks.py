"""Rows that this code cannot have written, by hand; and the rows of real studies, which it has."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from results.records import CostRecord, EpochRecord, TrialRecord, schema
from results.row_checks import problems
from results.store import Study
from tests.support.paths import ROOT
from tests.support.studies import KEY, epoch_record, trial_record

TRIAL = trial_record(epoch=2, top1=90.0)
OTHER = trial_record(seed=1).key
COST = CostRecord(
    key="caformer_micro-a-b-c-d--32px--amd-epyc-1-thread",
    candidate="caformer_micro-a-b-c-d",
    device="AMD EPYC, 1 thread",
    img_size=32,
    batch_size=64,
    num_params=1,
    flops=1,
    images_per_second=1.0,
    train_images_per_second=1.0,
    peak_memory=0,
)


def found(*records):
    """The problems of rows, by row number."""
    kind = type(records[0])
    return problems(pa.Table.from_pylist([asdict(record) for record in records], schema=schema(kind)), kind)


@pytest.mark.parametrize("name", ["placement-cifar10_short", "design-cifar10_short", "heads-cifar10_short"])
@pytest.mark.parametrize("kind", [TrialRecord, EpochRecord, CostRecord])
def test_the_rows_of_recorded_studies_are_ours(name, kind):
    records = Study(name, ROOT / "results" / "recorded").records(kind)
    assert len(records) > 5
    assert found(*records) == {}


@pytest.mark.parametrize("record", [TRIAL, epoch_record(), COST])
def test_an_empty_table_and_a_sound_row_have_no_problem(record):
    assert problems(schema(type(record)).empty_table(), type(record)) == {}
    assert found(record) == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"candidate": "caformer_micro-a-b-c-d"}, "its candidate, recipe, data and seed are not those of its key"),
        ({"seed": 1}, "its candidate, recipe, data and seed are not those of its key"),
        ({"recipe_fingerprint": "1"}, "its candidate, recipe, data and seed are not those of its key"),
        ({"data_fingerprint": "1"}, "its candidate, recipe, data and seed are not those of its key"),
        ({"placement": "a-b-c-d"}, "its backbone and placement are not those of"),
        ({"backbone": "caformer_s18"}, "its backbone and placement are not those of"),
        ({"status": "finished"}, "status 'finished', expected running, failed"),
        ({"epoch": 10**9}, "epoch is 1000000000, expected 0 to 100000"),
        ({"epoch": -1}, "epoch is -1"),
        ({"epoch": 5}, "epoch 5 of a budget of 4"),
        ({"status": "done"}, "done at epoch 2 of 4"),
        ({"test_top1": 90.0}, "a test top-1 at epoch 2 of 4"),
        ({"top1": 100.5}, "top1 is 100.5, expected 0 to 100"),
        ({"top1": 1e308}, "top1 is 1e+308"),
        ({"top1": float("nan")}, "top1 is nan"),
        ({"seconds": -1.0}, "seconds is -1.0"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"budget": 10**9}, "budget is 1000000000"),
        ({"number": -1}, "number is -1"),
        ({"ranks": 0}, "ranks is 0"),
        ({"study": "../x"}, "study '../x' is no study's name"),
        ({"reused": "a/b"}, "reused 'a/b' is no study's name"),
    ],
)
def test_a_trial_that_we_cannot_have_written(changes, says):
    (problem,) = found(replace(TRIAL, **changes)).values()
    assert problem.startswith(says)


def test_a_null_where_none_may_be_is_found():
    table = pa.Table.from_pylist([asdict(TRIAL) | {"device": None}], schema=schema(TrialRecord))
    assert problems(table, TrialRecord) == {0: "device is missing"}


def test_two_rows_of_one_trial_are_found():
    assert found(TRIAL, trial_record(seed=1), TRIAL) == {0: "a second row of its trial", 2: "a second row of its trial"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"candidate": "c"}, "its candidate and seed are not those of its key"),
        ({"seed": 3}, "its candidate and seed are not those of its key"),
        ({"epoch": 0}, "epoch is 0, expected 1 to 100000"),
        ({"epoch": 2}, "epoch 2 is not the one after its predecessor's"),
        ({"top1": -0.1}, "top1 is -0.1"),
        ({"seconds": -2.0}, "seconds is -2.0"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"val_loss": float("nan")}, "val_loss is nan"),
        ({"finished_at": datetime(1969, 1, 1, tzinfo=UTC)}, "finished_at is no date"),
        ({"finished_at": datetime(9999, 1, 1, tzinfo=UTC)}, "finished_at is no date"),
    ],
)
def test_an_epoch_that_we_cannot_have_written(changes, says):
    (problem,) = found(epoch_record(**changes)).values()
    assert problem.startswith(says)


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([(KEY, 1), (KEY, 2), (OTHER, 1)], []),
        ([(KEY, 1), (KEY, 1)], [1]),
        ([(KEY, 1), (KEY, 3)], [1]),
        ([(KEY, 2), (KEY, 1)], [0, 1]),
        ([(KEY, 1), (OTHER, 1), (KEY, 2)], [2]),
        ([(KEY, 1), (OTHER, 1), (KEY, 1)], [2]),
    ],
)
def test_epochs_stand_in_order_and_once(rows, wrong):
    assert list(found(*[epoch_record(key, epoch) for key, epoch in rows])) == wrong


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"device": "another"}, "its candidate, image size and device are not those of its key"),
        ({"img_size": 64}, "its candidate, image size and device are not those of its key"),
        ({"flops": -1}, "flops is -1"),
        ({"images_per_second": float("inf")}, "images_per_second is inf"),
    ],
)
def test_a_cost_that_we_cannot_have_written(changes, says):
    (problem,) = found(replace(COST, **changes)).values()
    assert problem.startswith(says)


def test_text_in_a_complaint_is_short():
    (problem,) = found(replace(TRIAL, status="x" * 1000)).values()
    assert len(problem) < 200
