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
    """Decoding by `workers` processes for each of `ranks`; one process alone decodes `worker_speed` images per second.

    With 0 workers, the training process itself decodes, between its micro-batches.
    """

    worker_speed: float
    workers: int
    ranks: int = 1
    trials_at_a_time: int = 1  # each with as many processes

    @classmethod
    def for_model(
        cls, worker_speed: float, model_speed: float, resources: Resources, *, trials_at_a_time: int = 1
    ) -> DecodingEstimate:
        """With a GPU, all threads of a rank's share but one decode: the model hardly needs them, and `worker_speed`
        was measured on an idle machine. On a CPU, as many as keep up with `model_speed` images per second and rank.
        """
        spare_threads = resources.threads - 1
        if resources.device == "cuda":
            workers = max(spare_threads, 1)  # the GPU would wait while its own process decodes
        else:
            keeps_up = math.ceil(1.2 * model_speed / worker_speed)  # a fifth more than needed, since images differ
            workers = min(keeps_up, spare_threads)
        return cls(worker_speed, workers, resources.ranks, trials_at_a_time)

    @property
    def images_per_second(self) -> float:
        """What all ranks of a trial together decode at best: each process as fast as one alone."""
        speed_per_rank = self.worker_speed * max(self.workers, 1)
        return speed_per_rank * self.ranks

    @property
    def loaded_images_per_second(self) -> float:
        """What all ranks of a trial decode if every process shares a core with another one, at half the speed."""
        processes = max(self.workers, 1) * self.ranks * self.trials_at_a_time
        return self.images_per_second if processes == 1 else self.images_per_second / 2

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
        processes = f"{self.workers} loader processes" if self.workers else "no loader process"
        if self.ranks > 1:
            processes += f" for each of {self.ranks} ranks"
        reach = f"{self.images_per_second:,.0f}"
        if self.loaded_images_per_second < self.images_per_second:
            reach = f"{self.loaded_images_per_second:,.0f} (two processes on each core) to {reach}"
        if self.trials_at_a_time > 1:
            processes += f" a trial, {self.trials_at_a_time} trials at a time"
            reach += " for each trial"
        return (
            f"one process alone decodes {self.worker_speed:,.0f} images/s; {processes}; "
            f"the loader reaches {reach}, the model {model_speed:,.0f} images/s: {self._limit(model_speed)}"
        )

    def _limit(self, model_speed: float) -> str:
        if not self.workers or self.images_per_second <= model_speed:
            return "the loader limits"
        if self.loaded_images_per_second > model_speed:
            return "the model limits"
        return "the loader may limit"
