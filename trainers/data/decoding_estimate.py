"""An estimate of how fast streamed images are decoded, and how many loader processes keep up with a model."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from trainers.data.dataset import ImageDataset
from trainers.data.streamed import StreamedDataset
from trainers.data.transforms import TransformedImages, training_transform
from trainers.recipes import Recipe
from trainers.resources import Resources


def decoding_speed(
    data: ImageDataset, recipe: Recipe, *, max_images: int = 256, max_seconds: float = 2.0
) -> float | None:
    """Images per second that one process reads, decodes and transforms for training; None for images in memory."""
    if not isinstance(data, StreamedDataset):
        return None
    transform = training_transform(recipe)
    images = TransformedImages(data.train_images, data.train_labels, transform, seed=0)
    indices = np.random.default_rng(0).permutation(len(images))[: max_images + 1].tolist()
    first = indices[0]
    images[first]  # not timed: it opens files that stay open
    timed = indices[1:] or indices
    number = 0
    start = time.perf_counter()
    for index in timed:
        images[index]
        number += 1
        if time.perf_counter() - start > max_seconds:
            break
    return number / (time.perf_counter() - start)


@dataclass(frozen=True)
class DecodingEstimate:
    """Decoding by `workers` processes for each of `ranks`; one process decodes `worker_speed` images per second.

    With 0 workers, the training process itself decodes, between its micro-batches.
    """

    worker_speed: float
    workers: int
    ranks: int = 1

    @classmethod
    def for_model(cls, worker_speed: float, model_speed: float, resources: Resources) -> DecodingEstimate:
        """As many workers as keep up with a model of `model_speed` images per second and rank, if there are threads.

        With a GPU there is always a worker: the GPU would wait while its own process decodes.
        """
        keeps_up = math.ceil(1.2 * model_speed / worker_speed)  # a fifth more than needed, since images differ
        most = resources.threads - 1
        least = 1 if resources.device == "cuda" else 0
        workers = max(min(keeps_up, most), least)
        return cls(worker_speed, workers, resources.ranks)

    @property
    def images_per_second(self) -> float:
        """What all ranks together decode."""
        speed_per_rank = self.worker_speed * max(self.workers, 1)
        return speed_per_rank * self.ranks

    def seconds_per_image(self, model_seconds: float) -> float:
        """Seconds of training for one image, where the model (on all ranks) takes `model_seconds` for it."""
        decoding_seconds = 1 / self.images_per_second
        if self.workers:
            return max(model_seconds, decoding_seconds)
        return model_seconds + decoding_seconds

    def summary(self, model_speed: float) -> str:
        """One line for people: how many processes decode, and whether they or the model are slower.

        `model_speed` is in images per second of all ranks.
        """
        model_is_slower = self.workers > 0 and self.images_per_second > model_speed
        limit = "the model limits" if model_is_slower else "the loader limits"
        processes = f"{self.workers} loader processes" if self.workers else "no loader process"
        if self.ranks > 1:
            processes += f" for each of {self.ranks} ranks"
        speeds = f"the loader {self.images_per_second:,.0f}, the model {model_speed:,.0f} images/s"
        return f"one process decodes {self.worker_speed:,.0f} images/s; {processes}; {speeds}: {limit}"
