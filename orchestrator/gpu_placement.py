"""Where a trial runs: its node, its process and the GPUs that Ray has given it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Gpu:
    """One GPU of a cluster. `index` is what Ray and CUDA_VISIBLE_DEVICES call it: a number, or a UUID."""

    host: str
    index: str
    node: str  # Ray's id

    def __str__(self) -> str:
        return f"GPU {self.index} of {self.host}"


@dataclass(frozen=True)
class Placement:
    """The process of a trial, and its GPUs, in the order of its ranks; none on a CPU."""

    node: str  # Ray's id
    host: str
    process: int
    gpus: tuple[Gpu, ...] = ()

    @classmethod
    def here(cls) -> Placement:
        """That of the process that asks, which Ray has started."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        host = socket.gethostname()
        gpus = [Gpu(host, str(index), node) for index in ray.get_gpu_ids()]
        return cls(node, host, os.getpid(), tuple(gpus))

    def gpu_of(self, rank: int | None) -> Gpu | None:
        """The GPU of a rank; that of the trial if it has only one; None if nobody knows which."""
        if len(self.gpus) == 1:
            return self.gpus[0]
        if rank is None or rank >= len(self.gpus):
            return None
        return self.gpus[rank]

    def describe(self, rank: int | None) -> str:
        """Where a rank failed, as the end of a line such as `CUDA error on GPU 3 of node7`; empty on a CPU."""
        if not self.gpus:
            return ""
        gpu = self.gpu_of(rank)
        if gpu is not None:
            return f" on {gpu}"
        indices = ", ".join(gpu.index for gpu in self.gpus)
        return f" on GPUs {indices} of {self.host}"
