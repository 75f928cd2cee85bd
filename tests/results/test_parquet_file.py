from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from results.parquet_file import DamagedFileError, NewerSchemaError, decode, encode
from results.records import TrialRecord, schema
from results.store import Study
from tests.support.paths import ROOT
from tests.support.studies import trial_record

RECORD = trial_record(commit="0123456789abcdef")


def rows(content, max_rows=1):
    return [TrialRecord(**row) for row in decode(content, TrialRecord, max_rows).to_pylist()]


def content_of(table):
    """A Parquet file without our checksum, as older versions and other tools write it."""
    target = pa.BufferOutputStream()
    pq.write_table(table, target)
    return target.getvalue().to_pybytes()


def version(text, record=RECORD):
    """A file of this schema version."""
    wanted = schema(TrialRecord).with_metadata({"schema_version": text})
    return content_of(pa.Table.from_pylist([asdict(record)], schema=wanted))


def test_rows_come_back_as_they_were_written():
    assert rows(encode([RECORD], TrialRecord)) == [RECORD]


def test_a_file_that_was_cut_off_is_damaged():
    with pytest.raises(DamagedFileError):
        rows(encode([RECORD], TrialRecord)[:-30])


def test_a_flipped_bit_in_a_page_is_damage():
    content = bytearray(encode([RECORD], TrialRecord))
    content[content.index(b"0123456789abcdef")] ^= 1
    with pytest.raises(DamagedFileError, match="its bytes are not those that were written"):
        rows(bytes(content))


@pytest.mark.parametrize("text", ["1", "1.7", "2", "2.7"])
def test_this_schema_version_and_older_ones_are_read(text):
    assert rows(version(text)) == [RECORD]


@pytest.mark.parametrize("text", ["3", "3.0", "none"])
def test_a_newer_schema_version_is_refused(text):
    with pytest.raises(NewerSchemaError, match=f"^schema version {text}, this code reads 2 and older"):
        rows(version(text))


@pytest.mark.parametrize(("text", "status"), [("1", "paused"), ("1.1", "paused"), ("2", "stopped")])
def test_stopped_in_schema_version_1_is_read_as_paused(text, status):
    assert rows(version(text, replace(RECORD, status="stopped")))[0].status == status


@pytest.mark.parametrize("status", ["running", "done", "diverged", "failed"])
def test_other_statuses_of_schema_version_1_are_read_as_they_are(status):
    assert rows(version("1", replace(RECORD, status=status)))[0].status == status


def test_a_recorded_study_is_of_schema_version_1_and_reads():
    recorded = Study("placement-cifar10_short", ROOT / "results" / "recorded")
    file = recorded.folder.path / "trials" / "all.parquet"
    assert pq.read_schema(file).metadata[b"schema_version"] == b"1"
    assert len(recorded.records(TrialRecord)) == pq.read_metadata(file).num_rows


def test_nullable_columns_that_the_writer_did_not_know_are_null():
    table = pa.Table.from_pylist([asdict(RECORD)], schema=schema(TrialRecord)).drop_columns(["number", "ranks"])
    assert (rows(content_of(table))[0].number, rows(content_of(table))[0].ranks) == (None, None)


def test_a_missing_column_that_may_not_be_null_is_damage():
    table = pa.Table.from_pylist([asdict(RECORD)], schema=schema(TrialRecord)).drop_columns(["seed"])
    with pytest.raises(DamagedFileError, match="seed"):
        rows(content_of(table))
