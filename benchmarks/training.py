"""How fast is training, beside timm's own loop, and does the preflight know? `python -m benchmarks.training`

For the baseline, SKA and CSKA in stage 2: images per second of an optimizer step of ours over one written as timm's
train.py does it, with the same model (but timm's activation), batch, recipe and device, measured in turn in this run;
memory of ours; and the preflight's seconds for an epoch over those that the trainer took. Images are noise in memory:
decoding is no part.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.speed_model import SpeedModel
from searchspace.backbones import build
from searchspace.candidate import Candidate
from searchspace.star_relu import StarReLU
from trainers.cost import Cost, measure
from trainers.data.in_memory import InMemoryDataset
from trainers.device import device_name
from trainers.recipes import RECIPES, Recipe
from trainers.resources import Resources
from trainers.trainer import Trainer
from trainers.training_model import amp_dtype
from trainers.trial_task import TrainingSetup

from timm.data import Mixup
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.models.metaformer import StarReLU as TimmStarReLU
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

PLACEMENTS = ("dwconv-dwconv-attn-attn", "dwconv-ska-attn-attn", "dwconv-cska-attn-attn")


def noise(recipe: Recipe, classes: int, steps: int) -> InMemoryDataset:
    """As many images as so many batches of training and their share of validation take."""
    number = int(steps * recipe.batch_size / (1 - recipe.val_fraction)) + 3 * classes
    labels = np.arange(number, dtype=np.int64) % classes
    shape = (number, recipe.img_size, recipe.img_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return InMemoryDataset(
        name="noise",
        classes=tuple(map(str, range(classes))),
        train_images=images,
        train_labels=labels,
        test_images=images[:classes],
        test_labels=labels[:classes],
    )


def make_trainer(candidate: Candidate, recipe: Recipe, data: InMemoryDataset, resources: Resources) -> Trainer:
    setup = TrainingSetup(recipe=recipe, data=data, resources=resources, checkpoints=None)
    return Trainer(candidate=candidate, seed=0, setup=setup)


def ours(trainer: Trainer, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """A step of the trainer's, from normalised images on."""
    trainer.model.train()
    return lambda: trainer.step([trainer.loader.mix(images, labels)])


def theirs(
    candidate: Candidate, recipe: Recipe, trainer: Trainer, images: Tensor, labels: Tensor
) -> Callable[[], None]:
    """A step in the order of timm's train.py: mixup, autocast, loss, backward, optimizer, schedule.

    The model has timm's own activation.
    """
    classes = len(trainer.metadata.classes)
    model = build(candidate, recipe.img_size, num_classes=classes, drop_path_rate=recipe.drop_path)
    use_timms_activation(model)
    model = model.to(trainer.device, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule, _ = create_scheduler_v2(optimizer, sched="cosine", num_epochs=recipe.epochs, updates_per_epoch=1000)
    mix = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=classes)
    loss_fn = SoftTargetCrossEntropy() if recipe.mixes else LabelSmoothingCrossEntropy(recipe.label_smoothing)
    updates = iter(range(10**9))
    dtype = amp_dtype(recipe.amp, trainer.device)
    autocast = torch.autocast(trainer.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def step() -> None:
        inputs, target = mix(images, labels) if recipe.mixes else (images, labels)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with autocast:
            loss = loss_fn(model(inputs), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step_update(num_updates=next(updates), metric=None)

    return step


def use_timms_activation(model: nn.Module) -> None:
    """Put timm's StarReLU in the place of ours."""
    for module in model.modules():
        if type(module) is StarReLU:
            module.__class__ = TimmStarReLU


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(trainer: Trainer, candidate: Candidate, recipe: Recipe, repeats: int) -> tuple[float, float]:
    """Images per second of ours, and the median of theirs / ours over pairs measured in turn."""
    size = recipe.batch_size
    images = trainer.loader.normalise(trainer.loader.train_images[:size])
    labels = trainer.loader.train_labels[:size]
    steps = ours(trainer, images, labels), theirs(candidate, recipe, trainer, images, labels)
    pairs = [tuple(map(seconds, steps)) for _ in range(repeats + 2)][2:]  # after two to warm up
    return size / statistics.median(a for a, _ in pairs), statistics.median(b / a for a, b in pairs)


def epoch(candidate: Candidate, recipe: Recipe, data: InMemoryDataset, share: Resources) -> float:
    """Seconds of an epoch, the second of two."""
    trainer = make_trainer(candidate, recipe.cut(2), data, share)
    return [epoch.seconds for epoch in trainer.epochs()][-1]


def foretold(costs: list[Cost], cost: Cost, recipe: Recipe, data: InMemoryDataset) -> float:
    """What the preflight says of an epoch; the test images come on top of it."""
    untested = replace(data, test_images=data.test_images[:1], test_labels=data.test_labels[:1])
    return SpeedModel.fit(costs).trial_seconds(cost.flops, recipe, untested, epochs=1)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default="cifar10")
    parser.add_argument("--batch-size", type=int, metavar="N", help="of a step; the recipe's micro-batch by default")
    parser.add_argument("--classes", type=int, default=10, metavar="N")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="pairs of steps (%(default)s)")
    parser.add_argument("--steps", type=int, default=50, metavar="N", help="of an epoch (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="torch.compile ours, as the recipe says")
    args = parser.parse_args(argv)
    share = Resources(device="cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(share.threads)
    recipe = RECIPES[args.recipe]
    size = args.batch_size or recipe.largest_micro_batch(share.device)
    recipe = replace(recipe, batch_size=size, micro_batch=None, streamed=False, compile=args.compile)
    data = noise(recipe, args.classes, args.steps)
    candidates = [Candidate.parse(f"{recipe.backbone}-{placement}") for placement in PLACEMENTS]
    costs = [measure(candidate, recipe, 3, args.classes, share) for candidate in candidates]
    print(f"{device_name(torch.device(share.device))}, recipe {recipe.name}, {recipe.img_size} px, batch {size}")
    print(f"{'placement':26}{'images/s':>10}{'ours / timm':>13}{'memory':>10}{'epoch':>9}{'foretold':>10}{'ratio':>7}")
    for candidate, cost in zip(candidates, costs, strict=True):
        trainer = make_trainer(candidate, recipe, data, share)
        rate, better = ratio(trainer, candidate, recipe, args.repeats)
        took, said = epoch(candidate, recipe, data, share), foretold(costs, cost, recipe, data)
        print(
            f"{candidate.placement:26}{rate:10.1f}{better:13.2f}{(cost.peak_memory or 0) / 1e6:7.0f} MB"
            f"{took:7.2f} s{said:8.2f} s{said / took:7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
