import numpy as np

from trainers.data.digits import load_digits


def test_the_digits_are_the_1797_of_scikit_learn():
    data = load_digits(32)
    assert data.train_images.shape == (1437, 32, 32, 1)
    assert data.test_images.shape == (360, 32, 32, 1)
    assert data.train_images.dtype == np.uint8
    assert data.train_images.max() == 255
    assert data.classes == tuple("0123456789")
    assert np.bincount(data.test_labels).min() >= 35  # stratified
