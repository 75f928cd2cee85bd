"""What one trial gets of its machine. No torch here, but to look for GPUs."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Share:
    """A kind of device (torch's name), CPU threads, ranks (processes, on a GPU each), and each rank's loader workers.

    `memory` is the fraction of a GPU's memory that the trial may take.
    """

    device: str = "cpu"
    threads: int = 1
    ranks: int = 1
    workers: int = 0
    memory: float = 1.0


def here(ranks: int) -> Share:
    """All of this machine for so many ranks; ValueError if it has fewer GPUs, unless it has none."""
    import torch

    gpus = torch.cuda.device_count()
    if not gpus:
        return Share(threads=max(1, torch.get_num_threads() // ranks), ranks=ranks)
    threads = max(1, (os.cpu_count() or 1) // ranks)
    if ranks > gpus:
        raise ValueError(f"{ranks} ranks, expected at most {gpus}, the GPUs of this machine")
    return Share(device="cuda", threads=threads, ranks=ranks, workers=max(1, threads - 1))
