"""Streamed images of one colour whose reader writes down which process reads which image."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.data.image_stream import BatchRequest, DecodedBatch, ImageStream
from trainers.data.streamed import ImageReader, StreamedDataset
from trainers.data.transforms import TransformedImages, evaluation_transform


@dataclass(frozen=True)
class LoggedReader(ImageReader):
    """Images whose red value is their index; the one at 99 is broken. Every read appends a line to the log."""

    log: Path
    name: str

    def read(self, index: int) -> Image.Image:
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {self.name} {index}\n")
        if index == 99:
            raise ValueError("broken")
        return Image.new("RGB", (4, 4), (index, 0, 0))

    def describe(self, index: int) -> str:
        return f"image {index}"


def open_stream(log: Path, workers: int) -> ImageStream:
    """The splits `train` and `val` of 100 images each."""
    transform = evaluation_transform(4, 1.0)
    splits = {name: TransformedImages(LoggedReader(log, name), np.arange(100), transform) for name in ("train", "val")}
    return ImageStream(splits, workers=workers, pin_memory=False)


def ask(stream: ImageStream, split: str, *batches: list[int]) -> Iterator[DecodedBatch]:
    """The batches with these indices."""
    return stream.batches([BatchRequest(split, np.array(indices)) for indices in batches])


def logged_dataset(log: Path) -> StreamedDataset:
    """Two classes, 40 images to train on and four to test on."""
    return StreamedDataset(
        name="logged",
        classes=("even", "odd"),
        train_images=LoggedReader(log, "train"),
        train_labels=np.arange(40) % 2,
        test_images=LoggedReader(log, "test"),
        test_labels=np.arange(4) % 2,
        listing_fingerprint="0123abcd",
    )


def reading_processes(log: Path) -> set[int]:
    """The ids of the processes that have read an image."""
    return {int(line.split()[0]) for line in log.read_text().splitlines()}
