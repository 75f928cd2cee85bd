"""What one trial gets of its machine. No torch here."""

from __future__ import annotations

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
