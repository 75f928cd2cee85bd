"""Which GPUs are out of use for this command, because their check before the start or trials failed on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.gpu_placement import Gpu, Placement


@dataclass(frozen=True)
class DeviceError:
    """What a trial met on a GPU, in one line."""

    key: str
    message: str


class SickGpus:
    """Counts the device errors of each GPU, and knows which running trial has which GPUs.

    A GPU is sick after `max_errors` errors; the last healthy one only if two trials have failed on it. The error of a
    trial that failed on several GPUs is forgotten where another trial completes an epoch: then the trial was to blame.
    """

    def __init__(self, sick: Iterable[Gpu] = (), max_errors: int = 2) -> None:
        """`sick`: the GPUs that are out of use from the start, without an error of a trial."""
        self.max_errors = max_errors
        self.errors: defaultdict[Gpu, list[DeviceError]] = defaultdict(list)
        self.failed_on: defaultdict[str, set[Gpu]] = defaultdict(set)  # by trial
        self.sick: dict[Gpu, list[DeviceError]] = {gpu: [] for gpu in sick}
        self.placements: dict[str, Placement] = {}  # of the running trials, by their keys

    def on_start(self, key: str, placement: Placement) -> None:
        """The trial has begun there."""
        self.placements[key] = placement

    def on_end(self, key: str) -> Placement | None:
        """The trial's process has ended or will at once; where it ran, if that is known."""
        return self.placements.pop(key, None)

    def on_epoch(self, key: str) -> None:
        """The running trial has completed an epoch on its GPUs."""
        placement = self.placements.get(key)
        if placement is None:
            return
        for gpu in placement.gpus:
            remaining = []
            for error in self.errors[gpu]:
                if self._may_be_the_gpus(error, key):
                    remaining.append(error)
            self.errors[gpu] = remaining

    def _may_be_the_gpus(self, error: DeviceError, key: str) -> bool:
        """Whether a GPU may be to blame for this error, on which the trial `key` has just completed an epoch."""
        return error.key == key or len(self.failed_on[error.key]) == 1

    def on_error(self, gpu: Gpu, error: DeviceError, *, is_last: bool) -> bool:
        """A trial failed on `gpu`, which may be the last healthy one. Returns whether the GPU is sick by now."""
        errors = self.errors[gpu]
        errors.append(error)
        self.failed_on[error.key].add(gpu)
        trials = {other.key for other in errors}
        if len(errors) < self.max_errors or (is_last and len(trials) == 1):
            return False
        self.sick[gpu] = list(errors)
        return True

    def has_sick(self, placement: Placement) -> bool:
        """Whether one of its GPUs is out of use."""
        return any(gpu in self.sick for gpu in placement.gpus)

    def trials_on(self, gpu: Gpu) -> int:
        """How many running trials use the GPU."""
        number = 0
        for placement in self.placements.values():
            if gpu in placement.gpus:
                number += 1
        return number

    def describe(self, gpu: Gpu) -> str:
        """The line that says why a GPU is out of use."""
        errors = self.sick[gpu]
        messages = [error.message for error in errors]
        return f"{gpu} is out of use for this command after {len(errors)} errors: {'; '.join(messages)}"
