"""What a device is called. torch alone is loaded: a study that goes on asks for this first."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from trainers.resources import Resources


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def device_here(share: Resources) -> str:
    """The name of the device, as a trial of this share in this process would report it."""
    torch.set_num_threads(share.threads)
    return device_name(torch.device(share.device))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
