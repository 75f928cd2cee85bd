"""What a candidate costs: parameters and FLOPs without computing anything, speed and memory measured on a device."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from searchspace.backbones import build
from searchspace.candidate import NUM_STAGES, Candidate, Stage
from searchspace.user_space import load_from_environment
from trainers.data.batch_loaders import InMemoryLoader
from trainers.data.in_memory import InMemoryDataset
from trainers.device import device_name
from trainers.recipes import Recipe
from trainers.resources import NodeCapacity, Resources, TrialRequest, this_machine
from trainers.trainer import Trainer

MIN_RUN_TIME = 0.7  # seconds of measuring per figure


@dataclass(frozen=True)
class Cost:
    """Speeds in images per second at `batch_size`; `peak_memory` in bytes of a training step, None if not measured."""

    device: str
    batch_size: int
    num_params: int
    flops: int
    images_per_second: float
    train_images_per_second: float
    peak_memory: int | None


def count(candidate: Candidate, img_size: int, in_chans: int = 3, num_classes: int = 1000) -> tuple[int, int]:
    """Parameters, and FLOPs of one image's forward pass (multiply-add 2), on the meta device.

    ValueError if it cannot be built or run, as may be with a token mixer of one's own.
    """
    kind = {"in_chans": in_chans, "num_classes": num_classes, "device": torch.device("meta")}
    try:
        model = build(candidate, img_size, **kind).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, in_chans, img_size, img_size, device="meta"))
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{candidate} cannot be built: {error}") from error
    return _size(model), counter.get_total_flops()


def count_all(
    candidates: Sequence[Candidate], img_size: int, in_chans: int = 3, num_classes: int = 1000
) -> dict[Candidate, tuple[int, int]]:
    """`count` of many candidates of one backbone from few models: a stage's share does not depend on the others."""
    plain = Stage("dwconv")

    @cache
    def alone(index: int, stage: Stage) -> np.ndarray:
        stages = [plain] * NUM_STAGES
        stages[index] = stage
        return np.array(count(Candidate(candidates[0].backbone, tuple(stages)), img_size, in_chans, num_classes))

    frame = alone(0, plain)
    totals = {c: frame + sum(alone(i, stage) - frame for i, stage in enumerate(c.stages)) for c in candidates}
    return {candidate: (int(total[0]), int(total[1])) for candidate, total in totals.items()}


def measure(
    candidate: Candidate,
    recipe: Recipe,
    channels: int,
    num_classes: int,
    share: Resources | None = None,
    memory: bool = True,
) -> Cost:
    """Speed and memory of `candidate` on one rank of `share`, at the size of an image and of a micro-batch.

    Nothing else should run meanwhile. Decoding is no part of it.
    """
    load_from_environment()
    share = share or Resources()
    torch.set_num_threads(share.threads)
    size = min(recipe.micro(share.device), recipe.batch_size // share.ranks)
    recipe = replace(recipe, batch_size=size, micro_batch=None, streamed=False)
    trainer = Trainer(candidate, recipe, _noise(recipe, channels, num_classes), seed=0, device=share.device)
    feed = trainer.feed
    assert isinstance(feed, InMemoryLoader)
    images, labels = feed.train_images[:size], feed.train_labels[:size]
    num_params, flops = count(candidate, recipe.img_size, channels, num_classes)

    def step() -> None:
        trainer.step([feed.mix(feed.normalise(images), labels)])

    trainer.model.train()
    train = _images_per_second(step, size)
    peak = _peak_memory(trainer, step) if memory else None
    trainer.model.eval()
    infer = _images_per_second(lambda: trainer.predict(feed.normalise(images)), size)
    return Cost(device_name(trainer.device), len(images), num_params, flops, infer, train, peak)


def share_here(cpus: int | None, gpus: float | None) -> tuple[Resources, int]:
    """What a trial gets on this machine, and how many such trials it holds at a time.

    The study may be meant for another machine: here it is measured without GPUs if there are none, and with more
    threads than CPUs if it asks for them. ValueError if there are GPUs, but too few.
    """
    machine = this_machine()
    if not machine.gpus:
        gpus = 0.0
    enough = NodeCapacity(cpus=max(machine.cpus, cpus or 1), gpus=machine.gpus)
    request = TrialRequest.choose([enough], cpus, gpus)
    return request.resources(), max(1, request.trials_on(machine))


def _noise(recipe: Recipe, channels: int, num_classes: int) -> InMemoryDataset:
    """Just enough random images, of the first two classes, that the training split holds one batch."""
    number = int(recipe.batch_size / (1 - recipe.val_fraction)) + 4
    labels = np.arange(number, dtype=np.int64) % 2
    shape = (number, recipe.img_size, recipe.img_size, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    classes = tuple(map(str, range(num_classes)))
    return InMemoryDataset(
        name="noise",
        classes=classes,
        train_images=images,
        train_labels=labels,
        test_images=images[:2],
        test_labels=labels[:2],
    )


def _images_per_second(run: Callable[[], object], images: int) -> float:
    timer = Timer("run()", globals={"run": run}, num_threads=torch.get_num_threads())
    return images / statistics.median(timer.blocked_autorange(min_run_time=MIN_RUN_TIME).times)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _peak_memory(trainer: Trainer, run: Callable[[], object]) -> int:
    """Bytes held at the fullest moment of `run`: weights and optimizer state, and what `run` allocates."""
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
        run()
        return torch.cuda.max_memory_allocated(trainer.device)
    trainer.optimizer.zero_grad(set_to_none=True)  # as a step does first; they are no part of what it allocates
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return _held(trainer) + int(np.cumsum(changes).max())


def _held(trainer: Trainer) -> int:
    state = [value for values in trainer.optimizer.state.values() for value in values.values()]
    tensors = [*trainer.model.parameters(), *(value for value in state if isinstance(value, torch.Tensor))]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
