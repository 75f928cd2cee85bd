"""The micro-batch of a trial on a GPU, chosen from the memory that two small training steps take.

Results do not depend on it: a mixing group is augmented and mixed as a whole, and then split into forward passes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch

from searchspace.candidate import Candidate
from trainers.cost import RandomSteps
from trainers.data.in_memory import InMemoryDataset
from trainers.failures import failure_from
from trainers.memory import free_memory
from trainers.rank_context import RankContext
from trainers.trial_task import TrainingSetup


class StepMemory(Protocol):
    """What a device has, and what a training step takes of it. Tests put a fake in its place."""

    def available(self) -> int:
        """Bytes that the training may hold."""

    def peak(self, images: int) -> int:
        """The most bytes that the training holds during a step of one forward pass of so many images."""


def choose_micro_batch(memory: StepMemory, *, group: int, largest: int, margin: float = 0.1) -> int:
    """The largest divisor of `group`, and at most `largest`, whose step fits into memory; 1 if none does.

    A straight line through two steps, of a quarter and half of `largest`, foretells the memory of others; where those
    do not fit, still smaller ones are measured. (Much smaller ones would not do: their peak is the optimizer's, which
    is the same for any number of images.) `margin` is the fraction of the memory left to fragmentation and to cuDNN's
    workspaces. It was not tuned: a choice that does not fit is halved like any other.
    """
    small = max(2, largest // 4)
    small -= small % 2  # images may be mixed in pairs
    if largest < 2 * small:
        return _divisor_up_to(group, largest)
    peaks = _peaks(memory, small)
    if peaks is None:
        return choose_micro_batch(memory, group=group, largest=small, margin=margin)
    first, second = peaks
    per_image = max(1.0, (second - first) / small)
    fixed = first - small * per_image
    fitting = int(((1 - margin) * memory.available() - fixed) / per_image)
    return _divisor_up_to(group, min(fitting, largest))


def _peaks(memory: StepMemory, small: int) -> tuple[int, int] | None:
    """The peaks of steps of `small` and of twice as many images; None if one does not fit."""
    try:
        return memory.peak(small), memory.peak(2 * small)
    except RuntimeError as error:
        if failure_from(error).kind != "memory":
            raise
        return None


def measured_micro_batch(
    memory: StepMemory, *, group: int, largest: int, device: torch.device, rank_context: RankContext
) -> int:
    """`choose_micro_batch` on every rank's device: the smallest choice of all, so that no rank waits for another."""
    chosen = choose_micro_batch(memory, group=group, largest=largest)
    largest_negative = rank_context.max(torch.tensor(-chosen, device=device))
    return -int(largest_negative.item())


def step_memory(candidate: Candidate, setup: TrainingSetup, largest: int) -> StepMemory | None:
    """What training `candidate` takes on this process's GPU; None on a CPU, whose passes are small."""
    if setup.resources.device != "cuda":
        return None
    return MeasuredStepMemory(candidate, setup, largest)


class MeasuredStepMemory:
    """Measures training steps on random images, without compilation, which would take minutes for each size."""

    def __init__(self, candidate: Candidate, setup: TrainingSetup, largest: int) -> None:
        self.setup = setup
        self.device = torch.device(setup.resources.device)
        recipe = replace(setup.recipe, batch_size=max(2, largest // 2), compile=False)
        self._steps = RandomSteps(candidate, recipe, setup.data.channels, len(setup.data.classes), setup.resources)

    def available(self) -> int:
        held = torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else 0
        return free_memory(self.device) + held - _data_bytes(self.setup)

    def peak(self, images: int) -> int:
        self._steps.train(images)  # the first step makes the optimizer's state
        peak = self._steps.peak_memory(images)
        if self.setup.resources.ranks > 1:
            peak += 4 * self._steps.num_params  # DistributedDataParallel's buckets of gradients, in float32
        return peak


def _data_bytes(setup: TrainingSetup) -> int:
    """Bytes that the images take on the device: those in memory lie there, streamed ones hardly count."""
    data = setup.data
    if not isinstance(data, InMemoryDataset):
        return 0
    return data.train_images.nbytes + data.test_images.nbytes


def _divisor_up_to(group: int, largest: int) -> int:
    """The largest divisor of `group` that is at most `largest`; 1 if `largest` is less."""
    divisors = [number for number in range(1, max(1, largest) + 1) if group % number == 0]
    return divisors[-1]
