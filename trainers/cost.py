"""What a candidate costs: parameters and FLOPs, counted without training; speed and memory, measured on a device."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from searchspace.backbones import build
from searchspace.candidate import NUM_STAGES, Candidate, Stage
from searchspace.user_space import load_from_environment
from trainers.data.in_memory import InMemoryDataset
from trainers.data.in_memory_loader import InMemoryLoader
from trainers.device import choose_kernels_by_speed, device_name
from trainers.recipes import Recipe
from trainers.resources import Resources
from trainers.trainer import Trainer
from trainers.trial_task import TrainingSetup


class ModelSize(NamedTuple):
    """The number of parameters, and the FLOPs of one image's forward pass (a multiply-add counts 2)."""

    num_params: int
    flops: int


@dataclass(frozen=True)
class Cost:
    """A candidate's size and its measured speed, in images per second at `batch_size`.

    `peak_memory` is that of a training step in bytes; None if it was not measured.
    """

    device: str
    batch_size: int
    num_params: int
    flops: int
    images_per_second: float
    train_images_per_second: float
    peak_memory: int | None


def count(candidate: Candidate, img_size: int, in_chans: int = 3, num_classes: int = 1000) -> ModelSize:
    """The candidate's size, counted on torch's meta device: nothing is allocated or computed.

    ValueError if the model cannot be built or run, as may happen with a user's token mixer.
    """
    meta = torch.device("meta")
    try:
        model = build(candidate, img_size, in_chans=in_chans, num_classes=num_classes, device=meta)
        model.eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, in_chans, img_size, img_size, device=meta))
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{candidate} cannot be built: {error}") from error
    num_params = sum(parameter.numel() for parameter in model.parameters())
    return ModelSize(num_params, counter.get_total_flops())


def count_all(
    candidates: Sequence[Candidate], img_size: int, in_chans: int = 3, num_classes: int = 1000
) -> dict[Candidate, ModelSize]:
    """`count` of many candidates of one backbone, from one model per stage and token mixer.

    What a stage adds does not depend on the other stages, so a candidate costs the all-dwconv model plus, for each of
    its stages, the difference that this stage alone makes.
    """
    if not candidates:
        return {}
    dwconv = Stage("dwconv")
    plain_stages = (dwconv,) * NUM_STAGES

    def count_stages(stages: tuple[Stage, ...]) -> ModelSize:
        return count(Candidate(candidates[0].backbone, stages), img_size, in_chans, num_classes)

    plain = count_stages(plain_stages)
    differences: dict[tuple[int, Stage], ModelSize] = {}
    sizes = {}
    for candidate in candidates:
        num_params = plain.num_params
        flops = plain.flops
        for index, stage in enumerate(candidate.stages):
            if (index, stage) not in differences:
                changed = count_stages((*plain_stages[:index], stage, *plain_stages[index + 1 :]))
                added = ModelSize(changed.num_params - plain.num_params, changed.flops - plain.flops)
                differences[index, stage] = added
            num_params += differences[index, stage].num_params
            flops += differences[index, stage].flops
        sizes[candidate] = ModelSize(num_params, flops)
    return sizes


def measure(
    candidate: Candidate,
    recipe: Recipe,
    channels: int,
    num_classes: int,
    resources: Resources,
    memory: bool = True,
) -> Cost:
    """Speed and, with `memory`, peak memory of one rank that trains `candidate` on micro-batches of random images.

    Nothing else should run meanwhile. Decoding of images is not included.
    """
    load_from_environment()
    torch.set_num_threads(resources.threads)
    choose_kernels_by_speed(torch.device(resources.device))
    batch_size = min(recipe.largest_micro_batch(resources.device), recipe.batch_size // resources.ranks)
    steps = RandomSteps(candidate, replace(recipe, batch_size=batch_size), channels, num_classes, resources)
    train_speed = _images_per_second(lambda: steps.train(batch_size), batch_size)
    peak_memory = steps.peak_memory(batch_size) if memory else None
    speed = _images_per_second(lambda: steps.predict(batch_size), batch_size)
    size = count(candidate, recipe.img_size, channels, num_classes)
    return Cost(
        device=device_name(steps.trainer.device),
        batch_size=batch_size,
        num_params=size.num_params,
        flops=size.flops,
        images_per_second=speed,
        train_images_per_second=train_speed,
        peak_memory=peak_memory,
    )


class RandomSteps:
    """Training steps of one rank on random images, `recipe.batch_size` at most, of which nothing is saved."""

    def __init__(
        self, candidate: Candidate, recipe: Recipe, channels: int, num_classes: int, resources: Resources
    ) -> None:
        recipe = replace(recipe, micro_batch=None, streamed=False, init=None)
        one_rank = Resources(device=resources.device, threads=resources.threads)
        dataset = _random_dataset(recipe, channels, num_classes)
        setup = TrainingSetup(recipe=recipe, data=dataset, resources=one_rank, checkpoints=None)
        self.trainer = Trainer(candidate=candidate, seed=0, setup=setup)
        loader = self.trainer.loader
        assert isinstance(loader, InMemoryLoader)
        self._loader = loader

    @property
    def num_params(self) -> int:
        """Parameters of the model."""
        return sum(parameter.numel() for parameter in self.trainer.model.parameters())

    def train(self, images: int) -> None:
        """One optimizer step of one forward pass on so many images."""
        self.trainer.model.train()
        pixels, labels = self._first(images)
        self.trainer.step([self._loader.mix(pixels, labels)])

    def predict(self, images: int) -> None:
        """One forward pass of the evaluation on so many images."""
        self.trainer.model.eval()
        pixels, _ = self._first(images)
        self.trainer.training_model.predict(pixels)

    def peak_memory(self, images: int) -> int:
        """The most bytes held during `train(images)`, which must have run before."""
        return _peak_memory(self.trainer, lambda: self.train(images))

    def _first(self, images: int) -> tuple[Tensor, Tensor]:
        return self._loader.normalise(self._loader.train_images[:images]), self._loader.train_labels[:images]


def _random_dataset(recipe: Recipe, channels: int, num_classes: int) -> InMemoryDataset:
    """Random images of the first two classes, just enough that the training split holds one batch."""
    number = int(recipe.batch_size / (1 - recipe.val_fraction)) + 4
    labels = np.arange(number, dtype=np.int64) % 2
    shape = (number, recipe.img_size, recipe.img_size, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    classes = tuple(str(index) for index in range(num_classes))
    return InMemoryDataset(
        name="noise",
        classes=classes,
        train_images=images,
        train_labels=labels,
        test_images=images[:2],
        test_labels=labels[:2],
    )


def _images_per_second(run: Callable[[], object], images: int, min_seconds: float = 0.7) -> float:
    """`images` per median time of a call of `run`, which is called for at least `min_seconds`."""
    timer = Timer("run()", globals={"run": run}, num_threads=torch.get_num_threads())
    times = timer.blocked_autorange(min_run_time=min_seconds).times
    return images / statistics.median(times)


def _peak_memory(trainer: Trainer, run: Callable[[], object]) -> int:
    """The most bytes held during `run`: weights, optimizer state and everything that `run` allocates."""
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
        run()
        return torch.cuda.max_memory_allocated(trainer.device)
    # A step frees its gradients first. Free them here, or the profiler would not count them when `run` allocates them.
    trainer.optimizer.zero_grad()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    all_events = profile.profiler.kineto_results.events()
    events = [event for event in all_events if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    changes = [event.nbytes() for event in events]  # positive if allocated, negative if freed
    held_before = 0
    for tensor in _weights_and_state(trainer):
        held_before += tensor.numel() * tensor.element_size()
    return held_before + int(np.cumsum(changes).max())


def _weights_and_state(trainer: Trainer) -> Iterator[Tensor]:
    """The parameters of the model and the tensors of the optimizer's state."""
    yield from trainer.model.parameters()
    for state in trainer.optimizer.base.state.values():
        for value in state.values():
            if isinstance(value, Tensor):
                yield value
