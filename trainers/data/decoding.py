"""From encoded images to 8-bit pixels, and to square arrays of one size."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trainers.data.dataset import Array
from trainers.names import displayed

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")

# Pillow tries these and no others, whatever a file's suffix says: to read EPS, for one, it would run Ghostscript.
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")

MAX_FILE_BYTES = 2**30  # more than the largest image that Pillow decodes takes without compression


class OneLineError(Exception):
    """For exceptions whose message names an image in one line, also when they come out of a loader process.

    Of those only the type and the traceback's text arrive (torch's ExceptionWrapper): its last line is the message.
    """

    def __init__(self, message: str) -> None:
        line = message.strip().rpartition(f"{type(self).__name__}: ")[2]
        super().__init__(line)


class ImageReadError(OneLineError, OSError):
    """The bytes of an image cannot be read. `errno` is the system's number of the error, or None if it gave none."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = re.search(r"\[Errno (\d+)\]", str(self))
        self.errno = int(found[1]) if found else None

    @classmethod
    def of(cls, error: OSError, description: object) -> ImageReadError:
        """That reading the image of this description ended in `error`."""
        lines = str(error.strerror or error).splitlines() or [type(error).__name__]
        number = f"[Errno {error.errno}] " if error.errno is not None else ""
        return cls(f"{description} cannot be read: {number}{lines[0]}")


class ImageDecodeError(OneLineError, ValueError):
    """The bytes of an image could be read, but they are no image that is understood."""


def read_image_file(path: Path) -> bytes:
    """The content of an image file. ImageReadError if reading fails; ImageDecodeError if it is no regular file."""
    try:
        check_image_file(path, os.stat(path))
        return path.read_bytes()
    except OSError as error:
        raise ImageReadError.of(error, displayed(path)) from error


def check_image_file(path: Path | str, status: os.stat_result) -> None:
    """ImageDecodeError unless this is a regular file, and short enough for an image. Opening a FIFO would hang."""
    if not stat.S_ISREG(status.st_mode):
        raise ImageDecodeError(f"{displayed(path)} is not a regular file, expected an image")
    if status.st_size > MAX_FILE_BYTES:
        found = f"{displayed(path)} has {status.st_size:,} bytes"
        raise ImageDecodeError(f"{found}, expected an image of at most {MAX_FILE_BYTES:,}")


def decode_image(content: bytes, description: object) -> Image.Image:
    """One image with 8 bits a channel, decoded. ImageDecodeError names it by its `description` if it cannot be."""
    try:
        image = Image.open(io.BytesIO(content), formats=IMAGE_FORMATS)
        image.load()
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers of unknown range")
        return _to_8_bits(image)
    except UnidentifiedImageError as error:
        formats = ", ".join(IMAGE_FORMATS)
        raise ImageDecodeError(f"{description} cannot be decoded: not an image (tried {formats})") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageDecodeError(f"{description} cannot be decoded: {error}") from error


def stack_squares(images: Iterable[Image.Image], img_size: int) -> Array:
    """Images resized and cropped to squares: (n, img_size, img_size, channels) of uint8.

    There is one channel if every image is gray, else three. No images give an empty array of shape (0,).
    """
    squares = [_to_square(image, img_size) for image in images]
    if not squares:
        return np.empty((0,))
    channels = max(square.shape[-1] for square in squares)
    shape = (img_size, img_size, channels)
    alike = [np.broadcast_to(square, shape) for square in squares]
    return np.stack(alike)


def _to_square(image: Image.Image, img_size: int) -> Array:
    """(img_size, img_size, 1) of a gray image, (img_size, img_size, 3) of any other."""
    image = _to_8_bits(image)
    is_gray = image.mode in ("1", "L", "LA")  # black and white, gray, gray with transparency
    image = image.convert("L" if is_gray else "RGB")
    size = (img_size, img_size)
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels.reshape(img_size, img_size, -1)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """16-bit gray images scaled to 8 bits: Pillow would clip them. All other images are unchanged."""
    if not image.mode.startswith("I"):
        return image
    pixels = np.asarray(image) >> 8
    pixels = pixels.clip(0, 255)
    return Image.fromarray(pixels.astype(np.uint8))
