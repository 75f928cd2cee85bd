"""Small images as files, for tests of data sets."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(value: int, size: tuple[int, int] = (10, 8), mode: str = "RGB") -> Image.Image:
    """An image of one colour; `mode` is Pillow's."""
    return Image.new(mode, size, value if mode == "L" else (value, 0, 255 - value))


def png(value: int) -> bytes:
    """The bytes of a PNG file of one colour."""
    content = io.BytesIO()
    picture(value).save(content, "PNG")
    return content.getvalue()


def jpeg(number: int, label: int) -> bytes:
    """The bytes of a JPEG file of noise, 20 x 24 pixels, brighter for label 1 than for label 0."""
    pixels = np.random.default_rng(number).integers(0, 100, (24, 20, 3)) + 60 * label
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "JPEG")
    return content.getvalue()


def write_jpeg_folders(folder: Path, train: int = 20, test: int = 4) -> None:
    """Class folders `dark` and `bright` of JPEGs, so many each in `train` and `val`."""
    for split, number in (("train", train), ("val", test)):
        for label, name in enumerate(("dark", "bright")):
            (folder / split / name).mkdir(parents=True)
            for index in range(number):
                (folder / split / name / f"{index}.jpeg").write_bytes(jpeg(100 * label + index, label))


def write_shard(path: Path, samples: list[tuple[str, dict[str, bytes]]]) -> None:
    """A tar file of samples: a key, and the content of each of its files by suffix."""
    with tarfile.open(path, "w") as tar:
        for key, files in samples:
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
