"""Data sets that are too large for memory: images are read and decoded each time they are needed. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from trainers.data.dataset import ImageDataset

Item = TypeVar("Item")
Listed = TypeVar("Listed")


class ImageReader(ABC):
    """Random access to the stored images of one split. Readers are pickled into the processes that decode."""

    @abstractmethod
    def read(self, index: int) -> Image.Image:
        """The image at `index`, decoded, in RGB.

        ImageReadError names an image whose bytes cannot be read, ImageDecodeError one that cannot be decoded.
        """

    @abstractmethod
    def describe(self, index: int) -> str:
        """Where the image at `index` lies, for people: its file, and its row or byte if the file holds several."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedDataset(ImageDataset):
    """A data set in colour of which only the labels and the places of the images are held in memory."""

    train_images: ImageReader
    test_images: ImageReader
    listing_fingerprint: str  # eight hexadecimal digits of what the files are: names, sizes or labels, not pixels

    @property
    def streamed(self) -> bool:
        return True

    @property
    def channels(self) -> int:
        return 3

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of the listing (names, sizes or labels): no image is decoded for it."""
        return self.listing_fingerprint


def list_in_threads(list_one: Callable[[Item], Listed], items: Iterable[Item], threads: int = 16) -> list[Listed]:
    """`list_one` of each folder or file, in order. File systems on a network answer many requests at a time."""
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(list_one, items))
