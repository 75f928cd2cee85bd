"""scikit-learn's 1,797 handwritten digits, 8 x 8 pixels: they come with the package, so that nothing is downloaded."""

from __future__ import annotations

import numpy as np
from PIL import Image

from trainers.data.decoding import stack_squares
from trainers.data.in_memory import InMemoryDataset


def load_digits(img_size: int) -> InMemoryDataset:
    """1,437 digits to train on and 360 to test on, resized to `img_size` pixels, gray."""
    from sklearn import datasets  # slow to import
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    gray = (digits.images * (255 / 16)).astype(np.uint8)
    images = stack_squares([Image.fromarray(image) for image in gray], img_size)
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )
    return InMemoryDataset(
        name="digits",
        classes=tuple("0123456789"),
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )
