"""The shared memory that loader processes hand their batches over in, which containers often limit to 64 MB."""

from __future__ import annotations

import shutil
from pathlib import Path

from trainers.recipes import Recipe
from trainers.resources import Resources

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # only its size is asked
BATCHES_PER_WORKER = 2  # that are ready or in work


def loader_bytes(recipe: Recipe, resources: Resources, *, trials: int = 1) -> int:
    """Bytes of shared memory that the loader processes of so many trials on one machine fill; 0 without any.

    A batch is one mixing group of decoded images, three bytes a pixel, or as many images of an evaluation, which on a
    GPU takes twice the images of a training pass. Beside the batches of its processes, a rank holds the one that it has
    just received.
    """
    if not recipe.streamed or not resources.workers:
        return 0
    images_per_rank = max(1, recipe.batch_size // resources.ranks)
    evaluated = 2 * images_per_rank if resources.device == "cuda" else images_per_rank
    images = min(recipe.group_size, evaluated)
    batch_bytes = images * 3 * recipe.img_size**2
    batches_per_rank = resources.workers * BATCHES_PER_WORKER + 1
    return trials * resources.ranks * batches_per_rank * batch_bytes


def shared_memory_problem(bytes_wanted: int) -> str | None:
    """One line if so many bytes are not free in shared memory; None where they are, or where there is none."""
    if not bytes_wanted or not SHARED_MEMORY.is_dir():
        return None
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free >= bytes_wanted:
        return None
    return (
        f"{SHARED_MEMORY} has {free / 1e6:,.0f} MB free, the loader processes fill up to {bytes_wanted / 1e6:,.0f} MB: "
        f"give it more (docker run --shm-size={bytes_wanted // 10**9 + 1}g) or take fewer CPUs (--cpus-per-trial)"
    )
