import errno
import io
import os
import pickle

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from tests.support.images import picture, png
from trainers.data.decoding import (
    MAX_FILE_BYTES,
    ImageDecodeError,
    ImageReadError,
    decode_image,
    read_image_file,
    stack_squares,
)


def decode(content):
    return decode_image(content, "picture 7")


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
    with pytest.raises(ValueError, match=r"^picture 7 cannot be decoded: not an image \(tried PNG, JPEG, .*\)$"):
        decode(b"not an image")


def test_a_truncated_image_is_named_in_one_line():
    with pytest.raises(ValueError, match=r"^picture 7 cannot be decoded: .+$") as error:
        decode(png(40)[:45])
    assert "\n" not in str(error.value)


def test_a_failing_disk_is_no_broken_image(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    (tmp_path / "x.png").write_bytes(png(40))
    monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    with pytest.raises(ImageReadError, match=r"/x\.png cannot be read: \[Errno 116\] Stale file handle$") as error:
        read_image_file(tmp_path / "x.png")
    assert error.value.errno == errno.ESTALE


def test_a_file_that_vanished_is_named(tmp_path):
    with pytest.raises(ImageReadError, match=r"/x\.png cannot be read: \[Errno 2\] No such file") as error:
        read_image_file(tmp_path / "x.png")
    assert error.value.errno == errno.ENOENT


def test_a_read_error_without_a_number_has_none():
    assert ImageReadError("row 7 cannot be read: too short").errno is None


class Failing(Dataset):
    """A data set of one image, whose reading raises `error`."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error from OSError(errno.EIO, "Input/output error")


def error_of_a_loader_process(dataset):
    try:
        list(DataLoader(dataset, num_workers=1))
    except Exception as error:
        return error.with_traceback(None)  # which would keep the loader alive until garbage is collected


@pytest.mark.parametrize(
    "error",
    [ImageReadError("a.png cannot be read: [Errno 5] Input/output error"), ImageDecodeError("a.png cannot be decoded")],
)
def test_errors_leave_a_loader_process_as_they_are(error):
    arrived = error_of_a_loader_process(Failing(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert getattr(arrived, "errno", None) == getattr(error, "errno", None)


def test_a_read_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ImageReadError("a.png cannot be read: [Errno 5] Input/output error")))  # noqa: S301
    assert (str(error), error.errno) == ("a.png cannot be read: [Errno 5] Input/output error", 5)


def test_a_fifo_or_a_folder_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path / "x.png", tmp_path):
        with pytest.raises(ImageDecodeError, match=f"{path} is not a regular file, expected an image"):
            read_image_file(path)


def test_a_file_that_is_too_long_for_an_image_is_not_read(tmp_path):
    with open(tmp_path / "x.png", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ImageDecodeError, match=r"x\.png has 1,073,741,825 bytes, expected an image of at most"):
        read_image_file(tmp_path / "x.png")


def test_postscript_is_not_run(monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.EpsImageFile._open", lambda self: pytest.fail("Pillow opened an EPS file"))
    with pytest.raises(ImageDecodeError, match="picture 7 cannot be decoded: not an image"):
        decode(encode(picture(9), "EPS"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM"])
def test_each_raster_format_is_decoded(kind):
    assert decode(encode(picture(9), kind)).size == (10, 8)


def test_an_image_that_would_fill_the_memory_is_not_decoded():
    with pytest.raises(ImageDecodeError, match=r"picture 7 cannot be decoded: Image size \(400000000 pixels\) exceeds"):
        decode(b"P5 20000 20000 255\n")
