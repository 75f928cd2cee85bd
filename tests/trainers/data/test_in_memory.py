from dataclasses import replace

import numpy as np

from trainers.data.in_memory import DecodedSplit, InMemoryDataset


def split(channels, value):
    return DecodedSplit(np.full((2, 4, 4, channels), value, np.uint8), np.array([0, 1]))


def test_one_split_in_colour_makes_the_other_so_too():
    data = InMemoryDataset.of_splits("x", ["a", "b"], train=split(1, 7), test=split(3, 9))
    assert data.train_images.shape == data.test_images.shape == (2, 4, 4, 3)
    assert data.channels == 3
    assert (data.train_images == 7).all()


def test_two_gray_splits_stay_gray():
    assert InMemoryDataset.of_splits("x", ["a", "b"], train=split(1, 7), test=split(1, 9)).channels == 1


def test_it_is_not_streamed(shapes):
    assert not shapes.streamed


def test_the_fingerprint_depends_on_every_pixel(shapes):
    before = replace(shapes).fingerprint
    shapes.test_images[0, 0, 0, 0] ^= 1
    assert replace(shapes).fingerprint != before


def test_the_fingerprint_never_changes_between_versions():
    """Studies are resumed by it: a new value would refuse all of them."""
    data = InMemoryDataset.of_splits("x", ["a", "b"], train=split(1, 7), test=split(1, 9))
    assert data.fingerprint == "bd0b8b30"
