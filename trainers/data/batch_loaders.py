"""The batch loader for each kind of data set."""

from __future__ import annotations

import torch

from trainers.data.dataset import ImageDataset
from trainers.data.in_memory import InMemoryDataset
from trainers.data.in_memory_loader import InMemoryLoader
from trainers.data.loader import BatchLoader
from trainers.data.streamed import StreamedDataset
from trainers.data.streamed_loader import StreamedLoader
from trainers.rank_context import RankContext
from trainers.recipes import Recipe


def make_batch_loader(
    data: ImageDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext, workers: int = 0
) -> BatchLoader:
    """The loader for this kind of data set; `workers` processes decode streamed images, or this one if there are 0."""
    if isinstance(data, StreamedDataset):
        return StreamedLoader(data, recipe, device=device, rank_context=rank_context, workers=workers)
    assert isinstance(data, InMemoryDataset)
    return InMemoryLoader(data, recipe, device=device, rank_context=rank_context)
