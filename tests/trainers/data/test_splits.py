import numpy as np
import pytest

from trainers.data.in_memory import InMemoryDataset
from trainers.data.splits import find_test_split, validation_split


def labelled(labels):
    images = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return InMemoryDataset(
        name="x",
        classes=("a", "b", "c"),
        train_images=images,
        train_labels=np.array(labels),
        test_images=images,
        test_labels=np.array(labels),
    )


def test_the_validation_split_holds_every_class():
    labels = np.repeat([0, 1, 2], 10)
    train, held_out = validation_split(labelled(labels), 0.2)
    assert sorted(train + held_out) == list(range(30))
    assert np.bincount(labels[held_out]).tolist() == [2, 2, 2]


def test_one_image_of_each_class_is_held_out_at_least():
    labels = np.repeat([0, 1, 2], 10)
    _, held_out = validation_split(labelled(labels), 0.01)
    assert sorted(labels[held_out]) == [0, 1, 2]


def test_the_validation_split_is_always_the_same():
    labels = np.repeat([0, 1], 20)
    assert validation_split(labelled(labels), 0.2) == validation_split(labelled(labels), 0.2)


def test_a_class_too_small_to_split_is_refused():
    with pytest.raises(ValueError, match="x: class 'b' has 1 training image, expected 2 or more: one is held out"):
        validation_split(labelled([0, 0, 0, 0, 1]), 0.2)


def test_test_is_preferred_to_val(tmp_path):
    (tmp_path / "val").mkdir()
    assert find_test_split(tmp_path).name == "val"
    (tmp_path / "test").mkdir()
    assert find_test_split(tmp_path).name == "test"


@pytest.mark.parametrize("suffix", ["", ".parquet"])
def test_a_missing_test_split_is_said(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=f"has train{suffix} but neither test{suffix} nor val{suffix}"):
        find_test_split(tmp_path, suffix)
