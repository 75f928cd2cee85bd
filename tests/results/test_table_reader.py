"""Files of rows that are too large, misplaced or no files at all: named and left out, and nothing is allocated."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from results.parquet_file import encode
from results.records import EpochRecord, TrialRecord, schema
from results.table_reader import read_table, without
from tests.support.studies import KEY, epoch_record, trial_record

FILE = f"{KEY}.parquet"


@pytest.fixture
def trials(study):
    return study.folder / "trials"


def reason(folder, table="trials"):
    """Why the only file of a table is damaged."""
    content = read_table(folder, table, folder.names(".parquet"))
    assert (len(content.rows), content.files) == (0, [])
    (found,) = content.damaged.values()
    return found


def write_parquet(folder, table, **options):
    pq.write_table(table, folder.path / FILE, **options)


def test_sound_files_are_read_in_order_with_their_rows(study):
    keys = []
    for seed in range(3):
        record = trial_record(seed=seed)
        keys.append(record.key)
        study.write("epochs", record.key, [epoch_record(record.key, epoch) for epoch in range(1, seed + 2)])
    folder = study.folder / "epochs"
    content = read_table(folder, "epochs", folder.names())
    assert content.files == [f"{key}.parquet" for key in keys]
    assert content.file_of_row.tolist() == [0, 1, 1, 2, 2, 2]
    assert without(content, {content.files[1]: "why"}).file_of_row.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("name", ["copy.parquet", f"{KEY} (1).parquet", f"{KEY}.sync-conflict-20260101.parquet"])
def test_a_copy_under_another_name_is_damaged_and_the_original_is_not(study, trials, name):
    study.write("trials", KEY, [trial_record()])
    trials.write(name, trials.read(FILE))
    content = read_table(trials, "trials", trials.names())
    assert (content.files, list(content.damaged)) == ([FILE], [name])
    assert content.damaged[name].startswith("its rows are of ")


def test_a_second_row_is_damage(trials):
    trials.write(FILE, encode([trial_record(), trial_record()], TrialRecord))
    assert reason(trials) == "2 rows, expected at most 1"


def test_a_small_file_of_millions_of_rows_is_not_unpacked(study):
    column = pa.array(np.zeros(4_000_000, dtype=np.int8))
    folder = study.folder / "epochs"
    write_parquet(folder, pa.table({"key": column}, metadata={"schema_version": "2"}))
    assert (folder.path / FILE).stat().st_size < 100_000
    assert reason(folder, "epochs") == "4,000,000 rows, expected at most 100,000"


def test_a_long_text_in_many_rows_is_not_unpacked(study):
    folder = study.folder / "epochs"
    row = pa.Table.from_pylist([vars(epoch_record())], schema=schema(EpochRecord))
    rows = row.take(np.zeros(90_000, dtype=np.int64))
    texts = pa.DictionaryArray.from_arrays(np.zeros(90_000, dtype=np.int32), ["x" * 20_000])
    write_parquet(folder, rows.set_column(1, "candidate", texts).replace_schema_metadata({"schema_version": "2"}))
    assert (folder.path / FILE).stat().st_size < 200_000
    assert "bytes of text, expected at most 536,870,912" in reason(folder, "epochs")


def test_another_codec_may_unpack_to_anything(trials):
    table = pa.Table.from_pylist([vars(trial_record())], schema=schema(TrialRecord))
    write_parquet(trials, table, compression="zstd")
    assert reason(trials) == "its column 'key' is not as this code writes it"


def test_a_sparse_file_is_not_read(trials):
    with (trials.path / FILE).open("wb") as file:
        file.truncate(200 * 2**30)
    assert reason(trials) == "214,748,364,800 bytes, expected at most 1,048,576"


@pytest.mark.parametrize("target", ["/dev/zero", "/proc/self/maps", "/nowhere"])
def test_a_link_to_something_else_is_no_row(trials, target):
    (trials.path / FILE).symlink_to(target)
    assert reason(trials) in ("no regular file", "its size changed while it was read")


def test_a_fifo_is_no_row(trials):
    os.mkfifo(trials.path / FILE)
    assert reason(trials) == "no regular file"


def test_a_file_that_a_power_failure_left_empty_is_damaged(trials):
    trials.write(FILE, b"")
    assert reason(trials)


def test_a_list_in_place_of_a_number_is_damaged(trials):
    row = {name: [value] for name, value in vars(trial_record()).items() if value is not None}
    table = pa.table({**row, "seed": [[0]]}, metadata={"schema_version": "2"})
    write_parquet(trials, table)
    assert reason(trials)
