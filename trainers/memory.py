"""What a device's memory holds: how much is free, what a pass needs, and smaller passes where it was too little."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import torch

from searchspace.candidate import Candidate
from trainers.failures import failure_from

R = TypeVar("R")


def free_memory(device: torch.device) -> int:
    """Bytes that this process can still allocate on `device`, as far as the driver or the system knows."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        share = int(total * torch.cuda.get_per_process_memory_fraction(device))
        reserved = torch.cuda.memory_reserved(device)
        unused = reserved - torch.cuda.memory_allocated(device)
        return min(free, share - reserved) + unused
    return int(min(psutil.virtual_memory().available, _free_in_container()))


def smaller_pass(images: int) -> int | None:
    """Half as many images as did not fit into memory; None if that leaves none."""
    return images // 2 or None


def in_passes_that_fit(run: Callable[[int], R], images: int) -> R:
    """`run(images)`; where that needs too much memory, `run` again with half as many images, and so on.

    ValueError in one line if one image at a time does not fit.
    """
    while True:
        try:
            return run(images)
        except RuntimeError as error:
            failure = failure_from(error)
            if failure.kind != "memory":
                raise
            smaller = smaller_pass(images)
            if smaller is None:
                reason = failure.message.splitlines()[0]
                raise ValueError(f"one image at a time does not fit into memory: {reason}") from error
            images = smaller
        gc.collect()  # frees device memory that the failed attempt held


def images_that_fit(candidate: Candidate, img_size: int, *, images: int, device: torch.device) -> int:
    """`images`, halved until the attention maps of an inference pass fit into the memory that is free on `device`.

    A CPU must not find out by trying: the system promises memory that it lacks, and kills a process that uses it.
    ValueError in one line if the maps of one image do not fit.
    """
    map_bytes = candidate.map_bytes(img_size)
    if not map_bytes:
        return images
    needed = 3 * map_bytes  # the logits, their softmax, and a copy that a convolution may make of its output
    free = free_memory(device)
    if needed > free:
        raise ValueError(
            f"{candidate} at {img_size} px: the attention map of one image and layer takes {map_bytes / 1e9:.1f} GB, "
            f"an image needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        )
    while images * needed > free:
        images = smaller_pass(images) or 1
    return images


def _free_in_container(folder: Path = Path("/sys/fs/cgroup")) -> float:
    """What a container's limit (cgroup version 2) leaves to this process, in bytes; infinite where there is none."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return float("inf")
    return float("inf") if limit == "max" else int(limit) - used + _reclaimable(folder)


def _reclaimable(folder: Path) -> int:
    """Bytes of files that a container has read and the system drops when memory is wanted. They count as used."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        name, _, number = line.partition(" ")
        if name == "inactive_file":
            return int(number)
    return 0
