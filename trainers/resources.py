"""What a trial gets of its machine: a device, threads, ranks, loader workers. Loads torch only to look for GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

# Memory that each process takes on a GPU before its first tensor: CUDA's context and kernels, workspaces of cuBLAS.
# Assumed, not measured by us; torch's limit on memory does not count it.
CONTEXT_BYTES = 600_000_000
RAY_UNITS = 10_000  # Ray counts GPUs in ten-thousandths


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial trains with. `ranks` are processes, on a GPU each where there are GPUs."""

    device: str = "cpu"  # or "cuda"
    threads: int = 1  # CPU threads of each rank
    ranks: int = 1
    workers: int = 0  # data loader processes of each rank
    trials_per_gpu: int = 1  # which share the GPU and its memory

    def memory_fraction(self, gpu_bytes: int) -> float:
        """The fraction of a GPU of so many bytes that one trial may allocate, beside the contexts of all its processes.

        ValueError in one line if the contexts leave nothing.
        """
        if self.trials_per_gpu == 1:
            return 1.0
        for_trials = gpu_bytes - self.trials_per_gpu * CONTEXT_BYTES
        if for_trials <= 0:
            sizes = (
                f"a GPU of {gpu_bytes / 1e9:.0f} GB: the CUDA context of each takes about {CONTEXT_BYTES / 1e9:.1f} GB"
            )
            raise ValueError(f"{self.trials_per_gpu} trials do not fit on {sizes}")
        return for_trials / self.trials_per_gpu / gpu_bytes


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
    def choose(
        cls, nodes: Sequence[NodeCapacity], cpus: int | None, gpus: float | None, *, small_images: bool = False
    ) -> TrialRequest:
        """The request as given; where it is not, one GPU if any node has one, and that GPU's part of the CPUs.

        With `small_images`, as many trials share a GPU by default as there are CPUs for, up to eight. ValueError in one
        line if no node can hold a trial.
        """
        if gpus is None:
            gpus = _default_gpus(nodes, cpus) if small_images else float(any(node.gpus for node in nodes))
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus:g} GPUs a trial, expected a fraction of one or a whole number")
        if not cpus:
            cpus = _default_cpus([node for node in nodes if node.gpus >= gpus], gpus)
        request = cls(cpus, gpus)
        if not any(request.trials_on(node) for node in nodes):
            sizes = dict.fromkeys(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes)
            raise ValueError(f"a trial wants {cpus} CPUs and {gpus:g} GPUs, the nodes have {', '.join(sizes)}")
        return request

    @property
    def trials_per_gpu(self) -> int:
        """How many trials share a GPU; 1 where a trial has GPUs of its own or none."""
        return _trials_per_gpu(self.gpus)

    def trials_on(self, node: NodeCapacity) -> int:
        """How many such trials fit on a node at the same time."""
        by_cpus = int(node.cpus / self.cpus)
        if not self.gpus:
            return by_cpus
        num_gpus = int(node.gpus)
        by_gpus = num_gpus * self.trials_per_gpu if self.gpus < 1 else int(num_gpus / self.gpus)
        return min(by_cpus, by_gpus)

    def resources(self, loader_workers: int = 0) -> Resources:
        """What a trial uses: with several GPUs, one rank on each. `loader_workers` is per rank."""
        ranks = max(1, int(self.gpus))
        return Resources(
            device="cuda" if self.gpus else "cpu",
            threads=max(1, self.cpus // ranks),
            ranks=ranks,
            workers=loader_workers,
            trials_per_gpu=self.trials_per_gpu,
        )


def describe_sharing(request: TrialRequest) -> str:
    """One line for people: how many trials share a GPU, how to change that, and what makes it faster."""
    return (
        f"{request.trials_per_gpu} trials share each GPU, which one trial of small images would leave idle most of the "
        "time (--gpus-per-trial 1: one each); sharing is faster while NVIDIA MPS runs: nvidia-cuda-mps-control -d"
    )


def _trials_per_gpu(gpus: float) -> int:
    """How many requests of this size Ray puts on one GPU, at least 1. It rounds them to ten-thousandths."""
    units = round(gpus * RAY_UNITS)
    return max(1, RAY_UNITS // units) if units else 1


def _cpus_per_gpu(nodes: Sequence[NodeCapacity]) -> float:
    """The fewest CPUs that come with a GPU on any of these nodes that has GPUs; 0 without one."""
    return min([node.cpus / node.gpus for node in nodes if node.gpus], default=0.0)


def _default_cpus(nodes: Sequence[NodeCapacity], gpus: float) -> int:
    """The part of these nodes' CPUs that comes with so many GPUs, or with a trial's share of one; 1 without a GPU."""
    if not gpus:
        return 1
    per_gpu = _cpus_per_gpu(nodes)
    share = per_gpu * gpus if gpus >= 1 else per_gpu / _trials_per_gpu(gpus)
    return max(1, int(share))


def _default_gpus(nodes: Sequence[NodeCapacity], cpus: int | None, most_trials: int = 8) -> float:
    """The part of a GPU that a trial of small images gets: an eighth, or more where there are fewer CPUs.

    That eight trials a GPU are best has not been measured yet.
    """
    per_gpu = _cpus_per_gpu(nodes)
    if not per_gpu:
        return float(any(node.gpus for node in nodes))
    trials = int(per_gpu / (cpus or 1))
    trials = min(max(1, trials), most_trials)
    return RAY_UNITS // trials / RAY_UNITS


def this_machine() -> NodeCapacity:
    """The CPUs that this process may use, and the GPUs that it sees."""
    import torch

    cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    return NodeCapacity(cpus=cpus, gpus=torch.cuda.device_count())


def whole_machine(ranks: int) -> Resources:
    """All of this machine for one trial of `ranks` ranks. Without a GPU they share the threads that torch would use.

    Each rank loads with its GPU's part of the CPUs, all but one, whether or not the other GPUs are used.
    ValueError if there are GPUs, but fewer than ranks.
    """
    import torch

    machine = this_machine()
    if not machine.gpus:
        return Resources(threads=max(1, torch.get_num_threads() // ranks), ranks=ranks)
    if ranks > machine.gpus:
        raise ValueError(f"{ranks} ranks, expected at most {machine.gpus:g}, the GPUs of this machine")
    request = TrialRequest(cpus=int(machine.cpus), gpus=ranks)
    cpus_per_gpu = int(machine.cpus / machine.gpus)
    return request.resources(loader_workers=max(1, cpus_per_gpu - 1))


def local_resources(cpus: int | None, gpus: float | None, *, small_images: bool = False) -> tuple[Resources, int]:
    """What a trial with this request gets on this machine, and how many such trials fit on it at the same time.

    The study may be meant for another machine. Without a GPU here, a trial gets none; it may get more threads than
    there are CPUs. ValueError if there are GPUs, but too few.
    """
    machine = this_machine()
    if not machine.gpus:
        gpus = 0.0
    enough_cpus = NodeCapacity(cpus=max(machine.cpus, cpus or 1), gpus=machine.gpus)
    request = TrialRequest.choose([enough_cpus], cpus, gpus, small_images=small_images)
    return request.resources(), max(1, request.trials_on(machine))
