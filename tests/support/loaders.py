"""Batch loaders on the CPU, and what they yield."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch

from trainers.data.batch_loaders import make_batch_loader
from trainers.data.dataset import ImageDataset
from trainers.data.loader import Batch, BatchLoader
from trainers.rank_context import RankContext
from trainers.recipes import Recipe

CPU = torch.device("cpu")


def make_loader(data: ImageDataset, recipe: Recipe, rank: int = 0, ranks: int = 1, **options: Any) -> BatchLoader:
    """The loader of one rank; `options` are `workers`."""
    return make_batch_loader(data, recipe, device=CPU, rank_context=RankContext(rank, ranks), **options)


def train_epoch(loader: BatchLoader, seed: int = 1, size: int = 4) -> list[Batch]:
    """The micro-batches of an epoch."""
    return list(loader.train_batches(size, seed))


def mixed_groups(loader: BatchLoader, size: int) -> dict[tuple[int, int], Batch]:
    """The images and labels of an epoch, by the step and the number of their group."""
    batches = loader.train_batches(size, seed=1)
    groups = {}
    for step in range(loader.steps):
        for group in loader.groups:
            parts = list(islice(batches, group.passes(size)))
            images, labels = zip(*parts, strict=True)
            groups[step, group.number] = torch.cat(images), torch.cat(labels)
    return groups


def same_batches(batches: Iterable[Batch], others: Iterable[Batch]) -> bool:
    """Whether two sequences of batches are equal bit for bit."""
    pairs = zip(batches, others, strict=True)
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)
