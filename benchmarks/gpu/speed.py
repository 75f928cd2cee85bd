"""Images per second and peak memory of training steps, beside timm's own loop and the equations written out."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

import torch

from benchmarks.gpu.outcomes import Found, Measurement
from benchmarks.gpu.scale import Scale
from benchmarks.mixers import plain
from benchmarks.training import make_trainer, noise, ours, theirs
from searchspace.static_keys import StaticKeyMixer
from trainers.device import choose_kernels_by_speed
from trainers.recipes import ABLATION, Recipe
from trainers.resources import Resources
from trainers.trainer import Trainer

CLASSES = 10


def eager_steps(device: torch.device, scale: Scale, *, name: str) -> Found:
    """Ours, timm's and the equations' steps of one candidate, without torch.compile."""
    choose_kernels_by_speed(device)
    recipe = ablation_recipe(scale, compile=False)
    variants = {
        "ours": partial(_our_step, name, scale, recipe, device),
        "equations written out": partial(_our_step, name, scale, recipe, device, equations=True),
        "timm's loop": partial(_timms_step, name, scale, recipe, device),
    }
    # Each is made when its turn comes and gone afterwards, so that no other model counts in its memory.
    measured = [_measure(name, variant, make(), device, scale) for variant, make in variants.items()]
    return Found(_describe(measured), tuple(measured))


def compiled_steps(device: torch.device, scale: Scale, *, name: str) -> Found:
    """Our steps of one candidate with torch.compile, and how long compiling took."""
    choose_kernels_by_speed(device)
    recipe = ablation_recipe(scale, compile=True)
    step = _our_step(name, scale, recipe, device)
    start = time.monotonic()
    _run(step, device)
    compiling = time.monotonic() - start
    measured = _measure(name, "ours, compiled", step, device, scale)
    return Found(f"{_describe([measured])}; the first step took {compiling:.0f} s", (measured,))


def ablation_recipe(scale: Scale, *, compile: bool) -> Recipe:
    """Recipe `ablation` at this scale, for one forward pass of images in memory."""
    return replace(
        ABLATION,
        backbone=scale.backbone,
        img_size=scale.img_size,
        batch_size=scale.batch_size,
        micro_batch=None,
        streamed=False,
        compile=compile,
    )


def images_per_second(step: Callable[[], object], images: int, device: torch.device, seconds: float) -> float:
    """`images` over the median time of a step, after three to warm up, in at least `seconds`."""
    for _ in range(3):
        _run(step, device)
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        _run(step, device)
        times.append(time.perf_counter() - start)
    return images / median(times)


def peak_memory(step: Callable[[], object], device: torch.device) -> int | None:
    """The most bytes that tensors took during a step; None on a CPU."""
    if device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return torch.cuda.max_memory_allocated(device)


def write_out_equations(trainer: Trainer) -> None:
    """Let the static key mixers of the model follow the paper step by step."""
    for module in trainer.model.modules():
        if isinstance(module, StaticKeyMixer):
            module.forward = partial(plain, module)  # type: ignore[method-assign]


def _our_step(
    name: str, scale: Scale, recipe: Recipe, device: torch.device, *, equations: bool = False
) -> Callable[[], object]:
    trainer = _make_trainer(name, scale, recipe, device)
    if equations:
        write_out_equations(trainer)
    images = trainer.loader.normalise(trainer.loader.train_images[: recipe.batch_size])
    return ours(trainer, images, trainer.loader.train_labels[: recipe.batch_size])


def _timms_step(name: str, scale: Scale, recipe: Recipe, device: torch.device) -> Callable[[], object]:
    """A step of timm's loop. Only the images of a trainer of ours are kept, so that its model takes no memory."""
    trainer = _make_trainer(name, scale, recipe, device)
    images = trainer.loader.normalise(trainer.loader.train_images[: recipe.batch_size])
    labels = trainer.loader.train_labels[: recipe.batch_size]
    return theirs(scale.candidate(name), recipe, trainer, images, labels)


def _make_trainer(name: str, scale: Scale, recipe: Recipe, device: torch.device) -> Trainer:
    resources = Resources(device=device.type, threads=torch.get_num_threads())
    return make_trainer(scale.candidate(name), recipe, noise(recipe, CLASSES, 1), resources)


def _measure(name: str, variant: str, step: Callable[[], object], device: torch.device, scale: Scale) -> Measurement:
    speed = images_per_second(step, scale.batch_size, device, scale.seconds)
    return Measurement(what=name, variant=variant, images_per_second=speed, peak_memory=peak_memory(step, device))


def _run(step: Callable[[], object], device: torch.device) -> None:
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _describe(measured: list[Measurement]) -> str:
    return ", ".join(f"{each.variant} {each.images_per_second:,.0f} images/s" for each in measured)
