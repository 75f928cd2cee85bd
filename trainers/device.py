"""Names of devices, as they appear in records. Imports only torch: a resumed study asks for its device's name first."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from trainers.resources import Resources


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the number of torch's threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor_name()}, {threads} thread{'s' if threads > 1 else ''}"


def trial_device_name(resources: Resources) -> str:
    """The device's name as a trial with these resources reports it. Sets the threads of this process to the trial's."""
    torch.set_num_threads(resources.threads)
    return device_name(torch.device(resources.device))


def choose_kernels_by_speed(device: torch.device) -> None:
    """Let cuDNN time its convolutions for each new shape and keep the fastest. Settings of this process.

    It pays because a training has few shapes: micro-batches, and padded batches of evaluation. The choice may differ
    from run to run, so a GPU's results repeat only up to rounding.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def _processor_name() -> str:
    """The model name in /proc/cpuinfo, or what Python's platform module knows on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
