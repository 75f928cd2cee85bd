import pickle
from dataclasses import dataclass

import numpy as np
from PIL import Image

from trainers.data.streamed import ImageReader, StreamedDataset, list_in_threads


@dataclass(frozen=True)
class OneColour(ImageReader):
    """Images whose red value is their index."""

    def read(self, index: int) -> Image.Image:
        return Image.new("RGB", (4, 4), (index, 0, 0))

    def describe(self, index: int) -> str:
        return f"image {index}"


def test_a_streamed_data_set_is_in_colour_and_survives_pickling():
    labels = np.array([0, 1])
    data = StreamedDataset(
        name="x",
        classes=("a", "b"),
        train_images=OneColour(),
        train_labels=labels,
        test_images=OneColour(),
        test_labels=labels,
        listing_fingerprint="0123abcd",
    )
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert (copy.streamed, copy.channels, copy.fingerprint) == (True, 3, "0123abcd")
    assert copy.train_images.read(7).getpixel((0, 0)) == (7, 0, 0)


def test_listings_keep_the_order_of_what_is_listed():
    assert list_in_threads(str, range(100)) == [str(number) for number in range(100)]
