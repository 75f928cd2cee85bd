"""What one trial gets of its machine. No torch here, but to look for GPUs."""

from __future__ import annotations

import os
from dataclasses import dataclass

MOST_WORKERS = 16  # of a rank, where nobody measures how many keep up


@dataclass(frozen=True, kw_only=True)
class Resources:
    """A kind of device (torch's name), CPU threads, ranks (processes, on a GPU each), and each rank's loader workers.

    `memory` is the fraction of a GPU's memory that the trial may take.
    """

    device: str = "cpu"
    threads: int = 1
    ranks: int = 1
    workers: int = 0
    memory: float = 1.0


def here(ranks: int) -> Resources:
    """All of this machine for so many ranks; ValueError if it has fewer GPUs, unless it has none."""
    import torch

    gpus = torch.cuda.device_count()
    if not gpus:
        return Resources(threads=max(1, torch.get_num_threads() // ranks), ranks=ranks)
    threads = max(1, len(os.sched_getaffinity(0)) // ranks) if hasattr(os, "sched_getaffinity") else 1
    if ranks > gpus:
        raise ValueError(f"{ranks} ranks, expected at most {gpus}, the GPUs of this machine")
    return Resources(device="cuda", threads=threads, ranks=ranks, workers=min(max(1, threads - 1), MOST_WORKERS))
