"""The ranks that train one model together: rank, world size, collectives, and this rank's slice of each batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainers.mixing_groups import MixingGroup


@dataclass(frozen=True)
class RankContext:
    """Rank `rank` of `size` ranks. A single rank needs no process group: its collectives do nothing."""

    rank: int = 0
    size: int = 1

    def device(self, kind: str) -> torch.device:
        """This rank's device of that kind ("cpu" or "cuda"): several ranks have a GPU each."""
        if kind == "cuda" and self.size > 1:
            return torch.device(kind, self.rank)
        return torch.device(kind)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model to call in training; its gradients are averaged over the ranks."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def maybe_no_sync(self, model: nn.Module, *, sync: bool) -> AbstractContextManager:
        """The context of a backward pass through a wrapped model; without `sync` gradients are not averaged yet."""
        if sync or self.size == 1:
            return nullcontext()
        return model.no_sync()  # type: ignore[operator]

    def sum(self, values: Tensor) -> Tensor:
        """All-reduce: `values` summed over all ranks, in place."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values

    def max(self, values: Tensor) -> Tensor:
        """All-reduce: the largest of each of `values` over all ranks, in place."""
        if self.size > 1:
            torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
        return values

    def broadcast(self, values: Tensor) -> Tensor:
        """Rank 0's `values`, in place."""
        if self.size > 1:
            torch.distributed.broadcast(values, src=0)
        return values

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            torch.distributed.barrier()

    def of_rank(self, groups: Sequence[MixingGroup]) -> list[MixingGroup]:
        """This rank's groups of a batch, whole ones: every `size`-th, beginning at the rank."""
        return list(groups[self.rank :: self.size])
