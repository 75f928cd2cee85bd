"""How fast images are decoded, and how many processes that takes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from trainers.data.batch_loaders import TransformedImages, training_transform
from trainers.data.dataset import ImageDataset
from trainers.data.streamed import StreamedDataset
from trainers.recipes import Recipe
from trainers.resources import Resources

SAMPLE, LONGEST = 256, 2.0  # images at most, and seconds, of which the speed is taken
SPARE = 1.2  # times what the model takes, since images differ


def decoding_speed(data: ImageDataset, recipe: Recipe) -> float | None:
    """Images per second that one process reads, decodes and transforms for training; None for images in memory."""
    if not isinstance(data, StreamedDataset):
        return None
    decoded = TransformedImages(data.train_images, data.train_labels, training_transform(recipe), seed=0)
    indices = np.random.default_rng(0).permutation(len(decoded))[: SAMPLE + 1].tolist()
    decoded[indices[0]]  # opens what stays open
    start, number = time.perf_counter(), 0
    for index in indices[1:] or indices:
        decoded[index]
        number += 1
        if time.perf_counter() - start > LONGEST:
            break
    return number / (time.perf_counter() - start)


@dataclass(frozen=True)
class DecodingEstimate:
    """`workers` processes of each of `ranks`, that decode so many images per second each; 0 decode between passes."""

    decoding: float
    workers: int
    ranks: int = 1

    @classmethod
    def for_model(cls, decoding: float, model: float, share: Resources) -> DecodingEstimate:
        """As many as keep up with a model of `model` images per second and rank, as far as the CPUs allow.

        A GPU's images are never decoded in its own process, which would stand still meanwhile.
        """
        wanted = min(math.ceil(SPARE * model / decoding), share.threads - 1)
        return cls(decoding, max(wanted, int(share.device == "cuda")), share.ranks)

    @property
    def images_per_second(self) -> float:
        """Of all ranks together."""
        return self.decoding * max(self.workers, 1) * self.ranks

    def seconds(self, model: float) -> float:
        """What an image takes where the model of all ranks takes `model` seconds for it."""
        loading = 1 / self.images_per_second
        return max(model, loading) if self.workers else model + loading

    def line(self, model: float) -> str:
        """How many processes, and which of the two limits; `model` in images per second of all ranks."""
        limit = "the model limits" if self.images_per_second > model and self.workers else "the loader limits"
        each = f"{self.workers} loader processes" if self.workers else "no loader process"
        ranks = f" for each of {self.ranks} ranks" if self.ranks > 1 else ""
        rates = f"the loader {self.images_per_second:,.0f}, the model {model:,.0f}"
        return f"one process decodes {self.decoding:,.0f} images/s; {each}{ranks}; {rates} images/s: {limit}"
