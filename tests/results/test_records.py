import pyarrow as pa
import pytest

from results.records import CostRecord, EpochRecord, TrialRecord, schema

KINDS = [TrialRecord, EpochRecord, CostRecord]


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_has_the_fields_in_order(kind):
    assert schema(kind).names == list(kind.__dataclass_fields__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_has_the_version(kind):
    assert schema(kind).metadata == {b"schema_version": b"2"}


def test_a_field_that_may_be_none_is_nullable():
    assert schema(TrialRecord).field("top1").nullable
    assert not schema(TrialRecord).field("seed").nullable


def test_types_are_arrow_types():
    columns = schema(EpochRecord)
    assert columns.field("epoch").type == pa.int64()
    assert columns.field("finished_at").type == pa.timestamp("ms", tz="UTC")


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_says_its_unit_in_the_schema(kind):
    numbers = [field for field in schema(kind) if field.type == pa.float64() and field.name != "lr"]
    assert all(field.metadata[b"note"] for field in numbers)
