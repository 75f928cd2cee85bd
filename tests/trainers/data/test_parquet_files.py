import os

import pytest

from trainers.data.parquet_files import ParquetFiles, open_file


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.parquet").touch()


def names(files):
    return [file.name.removesuffix(".parquet") for file in files]


def test_two_files_are_two_splits(tmp_path):
    touch(tmp_path, "train", "val", "train-00000-of-00001")
    found = ParquetFiles.find(tmp_path)
    assert (names(found.train), names(found.test)) == (["train"], ["val"])


def test_the_hubs_files_are_sorted(tmp_path):
    touch(tmp_path, "data/train-00001-of-00002-0a1b", "data/train-00000-of-00002-0a1c", "data/test-00000-of-00001")
    found = ParquetFiles.find(tmp_path)
    assert names(found.train) == ["train-00000-of-00002-0a1c", "train-00001-of-00002-0a1b"]
    assert names(found.test) == ["test-00000-of-00001"]


def test_validation_is_preferred_since_imagenets_test_split_has_no_labels(tmp_path):
    touch(tmp_path, *(f"{split}-00000-of-00001" for split in ("train", "test", "validation")))
    assert names(ParquetFiles.find(tmp_path).test) == ["validation-00000-of-00001"]


def test_a_folder_of_something_else_has_none(tmp_path):
    touch(tmp_path, "other", "train-0-of-1", "test-00000-of-00001")
    assert ParquetFiles.find(tmp_path) is None


def test_a_data_set_that_is_half_downloaded_is_refused(tmp_path):
    touch(tmp_path, "train-00001-of-00002", "test-00000-of-00001")
    with pytest.raises(FileNotFoundError, match="has 1 of 2 Parquet files of split train"):
        ParquetFiles.find(tmp_path)


def test_a_missing_test_split_is_named(tmp_path):
    touch(tmp_path, "train-00000-of-00001")
    with pytest.raises(FileNotFoundError, match="has Parquet files of train but of none of validation, test, val"):
        ParquetFiles.find(tmp_path)


def test_a_fifo_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"train\.parquet is not a regular file, expected Parquet"):
        open_file(tmp_path / "train.parquet")
