import os
from dataclasses import replace

import numpy as np
import pytest

from tests.support.images import jpeg, write_shard
from tests.support.paths import SHARED
from trainers.data.open_dataset import load_in_memory, open_dataset, open_streamed
from trainers.recipes import DIGITS


@pytest.mark.parametrize("streamed", [False, True])
def test_the_recipe_says_whether_images_are_streamed(class_folders, streamed):
    recipe = replace(DIGITS, streamed=streamed)
    assert open_dataset(str(class_folders), recipe).streamed == streamed


def test_the_digits_have_a_name():
    assert load_in_memory("digits", 8).num_train == 1437


def test_shards_are_recognised_by_their_suffix(tmp_path):
    for split in ("train", "val"):
        samples = [(str(label), {"jpg": jpeg(label, label), "cls": str(label).encode()}) for label in (0, 1)]
        write_shard(tmp_path / f"{split}.tar", samples)
    assert open_streamed(str(tmp_path)).num_train == 2


def test_the_home_folder_may_be_shortened(class_folders, monkeypatch):
    monkeypatch.setenv("HOME", str(class_folders.parent))
    assert load_in_memory(f"~/{class_folders.name}", 6).num_train == 6


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda source: load_in_memory(source, 6), "expected digits, a folder, or torch/"),
        (open_streamed, "expected a folder with train/ and val/, or hfds/"),
    ],
)
def test_a_missing_folder_says_what_was_expected(tmp_path, read, expected):
    with pytest.raises(FileNotFoundError, match=f"no data at .*nowhere, {expected}") as error:
        read(str(tmp_path / "nowhere"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [lambda source: load_in_memory(source, 6), open_streamed])
def test_a_path_that_is_not_utf_8_is_refused(class_folders, read):
    folder = os.fsencode(class_folders) + b"-\xff"
    os.rename(class_folders, folder)
    with pytest.raises(ValueError, match=r"data '.*\\udcff', expected a path in UTF-8 without control characters"):
        read(os.fsdecode(folder))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has neither train\.parquet nor a train/ folder"):
        load_in_memory(str(tmp_path), 6)
    with pytest.raises(FileNotFoundError, match=r"has neither a train/ folder of class folders nor \.tar shards"):
        open_streamed(str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cifar10-jpeg").is_dir(), reason="the shared CIFAR-10 is not on this machine")
def test_the_real_cifar_10_is_read():
    data = load_in_memory(str(SHARED / "cifar10-jpeg"), 32)
    assert data.train_images.shape == (50_000, 32, 32, 3)
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    assert data.classes[0] == "airplane"
