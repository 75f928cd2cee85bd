"""From encoded images to 8-bit pixels, and to square arrays of one size."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trainers.data.dataset import Array

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def decode_image(source: Path | io.BytesIO, description: object) -> Image.Image:
    """One image with 8 bits a channel, decoded. ValueError if it cannot be, which names it by its `description`."""
    try:
        image = Image.open(source)
        image.load()
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers of unknown range")
        return _to_8_bits(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{description} cannot be decoded: not an image") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{description} cannot be decoded: {error}") from error


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
