import io

import numpy as np
import pytest
from PIL import Image

from tests.support.images import picture, png
from trainers.data.decoding import decode_image, stack_squares


def decode(content):
    return decode_image(io.BytesIO(content), "picture 7")


def encode(image, kind="PNG"):
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def test_an_image_is_decoded():
    assert decode(png(40)).getpixel((0, 0)) == (40, 0, 215)


def test_images_are_cropped_to_squares():
    left_to_right = np.arange(20, dtype=np.uint8)[None, :].repeat(10, 0)
    stacked = stack_squares([Image.fromarray(left_to_right)], 10)
    assert stacked.shape == (1, 10, 10, 1)
    assert stacked[0, 0, :, 0].tolist() == list(range(5, 15))  # the centre


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_black_and_white_gray_and_transparent_gray_have_one_channel(mode):
    assert stack_squares([picture(9, mode="L").convert(mode)], 6).shape == (1, 6, 6, 1)


def test_one_colour_image_makes_all_colour():
    stacked = stack_squares([picture(9, mode="L"), picture(9)], 6)
    assert stacked.shape == (2, 6, 6, 3)
    assert (stacked[0] == 9).all()


def test_no_images_give_an_empty_array():
    assert stack_squares([], 6).shape == (0,)


def test_sixteen_bits_are_scaled_and_not_clipped():
    image = Image.fromarray(np.full((8, 8), 128 * 256, np.uint16))
    assert (np.asarray(decode(encode(image))) == 128).all()


def test_floating_point_pixels_are_refused():
    image = Image.fromarray(np.zeros((8, 8), np.float32))
    with pytest.raises(ValueError, match="picture 7 cannot be decoded: its pixels are floating-point"):
        decode(encode(image, "TIFF"))


def test_what_is_no_image_is_named():
    with pytest.raises(ValueError, match=r"^picture 7 cannot be decoded: not an image$"):
        decode(b"not an image")


def test_a_truncated_image_is_named_in_one_line():
    with pytest.raises(ValueError, match=r"^picture 7 cannot be decoded: .+$") as error:
        decode(png(40)[:45])
    assert "\n" not in str(error.value)
