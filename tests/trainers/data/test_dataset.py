from dataclasses import replace

import numpy as np
import pytest

from trainers.data.dataset import numbered_classes


def test_a_data_set_counts_its_images(shapes):
    assert (shapes.num_train, shapes.num_test) == (64, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(0, np.int64)}, "shapes: no training images"),
        ({"test_labels": np.zeros(0, np.int64)}, "shapes: no test images"),
        ({"train_labels": np.array([0, 2])}, "shapes: training labels 0 to 2, expected 0 to 1"),
        ({"test_labels": np.array([-1, 1])}, "shapes: test labels -1 to 1, expected 0 to 1"),
        ({"classes": ("dark", "bri\nght")}, r"data or class name 'bri\\nght', expected UTF-8 text without control"),
        ({"name": "\x1b[31m"}, r"data or class name '\\x1b\[31m', expected UTF-8 text without control characters"),
        ({"train_labels": np.array([0]), "test_labels": np.array([0]), "classes": ("a",)}, "1 class, expected 2"),
    ],
)
def test_invalid_labels_and_names_are_refused(shapes, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(shapes, **changes)


def test_classes_without_names_are_numbered():
    assert numbered_classes(np.array([0, 2, 1])) == ("0", "1", "2")
    assert numbered_classes(np.zeros(0, np.int64)) == ()
