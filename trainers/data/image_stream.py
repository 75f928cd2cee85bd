"""Decoding of streamed images by loader processes that start once and live as long as a training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.dataset import Array
from trainers.data.transforms import TransformedImages
from trainers.shared_memory import BATCHES_PER_WORKER

from timm.data.loader import fast_collate

DecodedBatch = tuple[Tensor, Tensor]  # images (B, C, H, W) as uint8, labels (B,), on the CPU


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """One batch: images of a split by their indices, and the seed of their random draws (None: nothing is drawn)."""

    split: str
    indices: Array
    seed: int | None = None


@dataclass(eq=False)
class _Job:
    """The requests of one iterator. `dropped`: another iterator was consumed first, so the rest must be asked again."""

    requests: Sequence[BatchRequest]
    sent: int = 0
    received: int = 0
    dropped: bool = False


class ImageStream:
    """Decoded batches of several splits, from `workers` processes, or from this process if there are 0.

    The processes start with the first batch and end with `close`. They prepare batches in the order in which `batches`
    was called: ask for what comes next before consuming what comes now, and no process waits in between.
    """

    def __init__(self, splits: Mapping[str, TransformedImages], *, workers: int, pin_memory: bool) -> None:
        self._dataset = _RequestedBatches(splits)
        self._workers = workers
        self._pin_memory = pin_memory
        self._schedule = _Schedule()
        self._loader: DataLoader | None = None
        self._iterator: Iterator | None = None

    def batches(self, requests: Sequence[BatchRequest]) -> Iterator[DecodedBatch]:
        """The batches of these requests. Consuming iterators in another order costs time but changes no batch."""
        return self._receive(requests, self._schedule.add(requests))

    def close(self) -> None:
        """End the processes. An iterator that is consumed further starts new ones."""
        self._schedule.drop_all()
        if self._workers and self._iterator is not None:
            # The iterator's destructor does the same, but a traceback may hold the iterator for long.
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]
        self._iterator = None
        self._loader = None

    def _receive(self, requests: Sequence[BatchRequest], job: _Job) -> Iterator[DecodedBatch]:
        for position in range(len(requests)):
            if job.dropped:
                job = self._schedule.add(requests[position:])
            yield self._next_of(job)

    def _next_of(self, job: _Job) -> DecodedBatch:
        self._schedule.drop_before(job)
        try:
            while True:
                images, labels = self._next()
                if self._schedule.receive() is job:
                    return images, labels
        except BaseException:
            self.close()  # what is still on its way can no longer be told apart
            raise

    def _next(self) -> list[Tensor]:
        if self._loader is None:
            self._loader = self._start()
            self._iterator = iter(self._loader)
        assert self._iterator is not None
        try:
            return next(self._iterator)
        except StopIteration:  # everything was answered before more was asked for: the same processes go on
            self._iterator = iter(self._loader)
            return next(self._iterator)

    def _start(self) -> DataLoader:
        return DataLoader(
            self._dataset,
            batch_size=None,  # a request is a whole batch
            sampler=self._schedule,
            num_workers=self._workers,
            prefetch_factor=BATCHES_PER_WORKER if self._workers else None,
            persistent_workers=self._workers > 0,
            pin_memory=self._pin_memory,
            generator=torch.Generator(),  # the loader draws seeds, which nobody uses: not from the global generator
        )


class _Schedule:
    """The requests in the order in which they were made: an iterator for torch's loader that goes on after its end."""

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()  # those not received completely, the oldest first
        self._sent: deque[_Job] = deque()  # the job of every request that was sent and not received

    def __iter__(self) -> _Schedule:
        return self

    def __next__(self) -> BatchRequest:
        for job in self._jobs:
            if job.sent < len(job.requests):
                request = job.requests[job.sent]
                job.sent += 1
                self._sent.append(job)
                return request
        raise StopIteration

    def add(self, requests: Sequence[BatchRequest]) -> _Job:
        job = _Job(requests)
        self._jobs.append(job)
        return job

    def receive(self) -> _Job:
        """The job of the batch that has just been received."""
        job = self._sent.popleft()
        job.received += 1
        if not job.dropped and job.received == len(job.requests):
            self._jobs.remove(job)
        return job

    def drop_before(self, job: _Job) -> None:
        """Send no more requests of the jobs before `job`; what is on its way of them will be thrown away."""
        while self._jobs[0] is not job:
            self._jobs.popleft().dropped = True

    def drop_all(self) -> None:
        while self._jobs:
            self._jobs.popleft().dropped = True
        self._sent.clear()


class _RequestedBatches(Dataset):
    """The splits as a data set whose index is a BatchRequest."""

    def __init__(self, splits: Mapping[str, TransformedImages]) -> None:
        self._splits = splits

    def __getitem__(self, request: BatchRequest) -> DecodedBatch:
        images = self._splits[request.split]
        return fast_collate([images.load(int(index), request.seed) for index in request.indices])
