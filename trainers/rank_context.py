"""The ranks that train one model together: who I am, what is summed over all, which images are mine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class RankContext:
    """Rank `rank` of `size`. One rank alone needs no process group."""

    rank: int = 0
    size: int = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as it is called in training; gradients become means over the ranks."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def gathering(self, model: nn.Module, now: bool) -> AbstractContextManager:
        """Around a backward pass: ranks exchange gradients at the last micro-batch of a step, not before."""
        return nullcontext() if now or self.size == 1 else model.no_sync()  # type: ignore[operator]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until every rank is here."""
        if self.size > 1:
            torch.distributed.barrier()

    def parts(self, number: int, micro_batch: int) -> list[Tensor]:
        """Which positions of a batch of `number` images this rank takes, micro-batch by micro-batch.

        The ranks' micro-batches lie side by side: two ranks see at a time what one with twice the micro-batch sees.
        """
        share = number // self.size
        starts = range(0, share, micro_batch)
        sizes = [min(micro_batch, share - start) for start in starts]
        firsts = [start * self.size + self.rank * size for start, size in zip(starts, sizes, strict=True)]
        return [torch.arange(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
