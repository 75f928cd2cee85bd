"""What a trial gets of its machine: a device, threads, ranks, loader workers. Loads torch only to look for GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial trains with. `ranks` are processes, on a GPU each where there are GPUs."""

    device: str = "cpu"  # or "cuda"
    threads: int = 1  # CPU threads of each rank
    ranks: int = 1
    workers: int = 0  # data loader processes of each rank
    memory_fraction: float = 1.0  # of a GPU's memory, which trials on the same GPU share


@dataclass(frozen=True)
class NodeCapacity:
    """The CPUs and GPUs of one machine."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class TrialRequest:
    """The CPUs and GPUs that each trial gets. A fraction of a GPU is never spread over two GPUs."""

    cpus: int
    gpus: float

    @classmethod
    def choose(cls, nodes: Sequence[NodeCapacity], cpus: int | None, gpus: float | None) -> TrialRequest:
        """The request as given; where it is not, one GPU if any node has one, and that GPU's part of the CPUs.

        ValueError in one line if no node can hold a trial.
        """
        if gpus is None:
            gpus = float(any(node.gpus for node in nodes))
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus:g} GPUs a trial, expected a fraction of one or a whole number")
        if not cpus:
            cpus_per_trial = [node.cpus * gpus / node.gpus for node in nodes if node.gpus >= gpus > 0]
            cpus = max(1, int(min(cpus_per_trial, default=1)))
        request = cls(cpus, gpus)
        if not any(request.trials_on(node) for node in nodes):
            sizes = dict.fromkeys(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes)
            raise ValueError(f"a trial wants {cpus} CPUs and {gpus:g} GPUs, the nodes have {', '.join(sizes)}")
        return request

    def trials_on(self, node: NodeCapacity) -> int:
        """How many such trials fit on a node at the same time."""
        by_cpus = int(node.cpus / self.cpus)
        if not self.gpus:
            return by_cpus
        num_gpus = int(node.gpus)
        by_gpus = num_gpus * int(1 / self.gpus) if self.gpus < 1 else int(num_gpus / self.gpus)
        return min(by_cpus, by_gpus)

    def resources(self, loader_workers: int = 0) -> Resources:
        """What a trial uses: with several GPUs, one rank on each. `loader_workers` is per rank."""
        ranks = max(1, int(self.gpus))
        return Resources(
            device="cuda" if self.gpus else "cpu",
            threads=max(1, self.cpus // ranks),
            ranks=ranks,
            workers=loader_workers,
            memory_fraction=self.gpus if 0 < self.gpus < 1 else 1.0,
        )


def this_machine() -> NodeCapacity:
    """The CPUs that this process may use, and the GPUs that it sees."""
    import torch

    cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    return NodeCapacity(cpus=cpus, gpus=torch.cuda.device_count())


def whole_machine(ranks: int) -> Resources:
    """All of this machine for one trial of `ranks` ranks. Without a GPU they share the threads that torch would use.

    ValueError if there are GPUs, but fewer than ranks.
    """
    import torch

    machine = this_machine()
    if not machine.gpus:
        return Resources(threads=max(1, torch.get_num_threads() // ranks), ranks=ranks)
    if ranks > machine.gpus:
        raise ValueError(f"{ranks} ranks, expected at most {machine.gpus:g}, the GPUs of this machine")
    request = TrialRequest(cpus=int(machine.cpus), gpus=ranks)
    spare_cpus = request.resources().threads - 1
    return request.resources(loader_workers=min(max(1, spare_cpus), 16))


def local_resources(cpus: int | None, gpus: float | None) -> tuple[Resources, int]:
    """What a trial with this request gets on this machine, and how many such trials fit on it at the same time.

    The study may be meant for another machine. Without a GPU here, a trial gets none; it may get more threads than
    there are CPUs. ValueError if there are GPUs, but too few.
    """
    machine = this_machine()
    if not machine.gpus:
        gpus = 0.0
    enough_cpus = NodeCapacity(cpus=max(machine.cpus, cpus or 1), gpus=machine.gpus)
    request = TrialRequest.choose([enough_cpus], cpus, gpus)
    return request.resources(), max(1, request.trials_on(machine))
