"""Checks of what may go wrong on a GPU only. Each takes a device, so that a CPU runs the same code in tests.

A check returns what it found, and raises CheckFailedError or another exception if that is wrong. The tolerances are for
differences of rounding; they have been tried on CPUs only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from statistics import fmean
from tempfile import TemporaryDirectory
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu.outcomes import Found, require
from benchmarks.gpu.scale import SMALL, Scale, make_setup, make_trainer
from searchspace.backbones import build
from searchspace.candidate import Candidate
from searchspace.paper_spaces import SPACES
from storage.folder import Folder
from trainers.device import choose_kernels_by_speed
from trainers.resources import CONTEXT_BYTES
from trainers.run_trial import run_trial
from trainers.trainer import Trainer
from trainers.training_model import TrainingModel
from trainers.trial_task import Failure, TrialReport, TrialTask


def train_losses(trainer: Trainer, steps: int) -> list[float]:
    """The losses of so many optimizer steps, over as many passes of the data as they take."""
    trainer.model.train()
    losses: list[Tensor] = []
    epoch = 0
    while len(losses) < steps:
        epoch += 1
        batches = trainer.loader.train_batches(trainer.micro_batch, epoch)
        for step in range(min(trainer.loader.steps, steps - len(losses))):
            trainer.optimizer.set_lr(0, trainer.loader.steps + step)
            losses.append(trainer.step(islice(batches, trainer.passes)))
    return torch.stack(losses).tolist()


def bfloat16_trains_as_float32(device: torch.device, scale: Scale) -> Found:
    """The same steps with and without autocast: losses stay finite, fall, and differ by little more than rounding."""
    choose_kernels_by_speed(device)
    candidate = scale.candidate("CSKA")
    losses: dict[str, list[float]] = {}
    for name, amp in (("fp32", None), ("bf16", "bfloat16")):
        trainer = make_trainer(candidate, scale.recipe(amp=amp), device, batches=10)
        losses[name] = train_losses(trainer, scale.steps)
        _require_falling(losses[name], name)
    gap = fmean(abs(one - other) for one, other in zip(losses["fp32"], losses["bf16"], strict=True))
    require(gap < 0.1, f"bf16 and fp32 losses differ by {gap:.3f} nats on average, expected below 0.1")
    return Found(f"{scale.steps} steps: losses differ by {gap:.1e} nats on average, at the end {_ends(losses)}")


def float16_scaler_skips_overflow(device: torch.device, scale: Scale) -> Found:
    """Training in float16 learns, and a step whose gradients overflow changes no weight and halves the scale."""
    choose_kernels_by_speed(device)
    trainer = make_trainer(scale.candidate("CSKA"), scale.recipe(amp="float16"), device, batches=10)
    losses = train_losses(trainer, scale.steps)
    _require_falling(losses, "fp16")
    scaler = trainer.optimizer.scaler
    if not scaler.is_enabled():
        return Found("float32 on this device: no scaler")
    before_scale = scaler.get_scale()
    weights = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    images, labels = next(trainer.loader.train_batches(trainer.micro_batch, 1))
    trainer.optimizer.zero_grad()
    trainer.optimizer.backward(trainer.training_model.loss(images, labels) * math.inf)
    trainer.optimizer.step()
    unchanged = all(map(torch.equal, weights, trainer.model.parameters()))
    require(unchanged, "a step with infinite gradients changed the weights")
    after_scale = scaler.get_scale()
    require(after_scale == before_scale / 2, f"the scale went from {before_scale:g} to {after_scale:g}, expected half")
    return Found(
        f"{scale.steps} steps to loss {fmean(losses[-5:]):.3f}; overflow skipped, scale {before_scale:g} halved"
    )


def compiled_trains_as_eager(device: torch.device, scale: Scale) -> Found:
    """The same ten steps of a small model with and without torch.compile, and its logits in evaluation."""
    candidate = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")
    losses: dict[str, list[float]] = {}
    logits = []
    for name in ("eager", "compiled"):
        recipe = SMALL.recipe(amp=None, compile=name == "compiled", batch_size=32)
        trainer = make_trainer(candidate, recipe, device, batches=5)
        losses[name] = train_losses(trainer, 10)
        trainer.model.eval()
        images, _ = next(trainer.loader.val_batches(8))
        logits.append(trainer.training_model.predict(images))
    gap = max(abs(one - other) for one, other in zip(losses["eager"], losses["compiled"], strict=True))
    require(gap < 0.02, f"losses of compiled and eager steps differ by up to {gap:.3f} nats, expected below 0.02")
    logit_gap = (logits[0] - logits[1]).abs().max().item()
    require(logit_gap < 0.1, f"logits after ten steps differ by up to {logit_gap:.3f}, expected below 0.1")
    return Found(f"ten steps: losses differ by at most {gap:.1e} nats, logits by {logit_gap:.1e} ({_ends(losses)})")


def one_rank_exchanges_gradients(device: torch.device, scale: Scale) -> Found:
    """A process group of one rank (NCCL on a GPU, else gloo): its sums and its gradients are those without a group."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    candidate = Candidate.parse("caformer_micro-dwconv-cska-attn-attn")
    torch.manual_seed(0)
    model = build(candidate, 32, num_classes=2).to(device)
    images = torch.randn(4, 3, 32, 32, device=device)
    model(images).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with TemporaryDirectory(prefix="rank-") as meeting:
        dist.init_process_group(backend, init_method=f"file://{meeting}/store", rank=0, world_size=1)
        try:
            total = torch.full((3,), 2.0, device=device)
            dist.all_reduce(total)
            DistributedDataParallel(model)(images).square().sum().backward()
        finally:
            dist.destroy_process_group()
    require(total.tolist() == [2.0] * 3, f"the sum over one rank is {total.tolist()}, expected its own numbers")
    gap = _largest_gap([parameter.grad for parameter in model.parameters()], expected)
    require(gap < 1e-3, f"gradients through {backend} differ by {gap:.1e} of the largest, expected below 1e-3")
    return Found(f"{backend}: gradients differ by at most {gap:.1e} of the largest")


def resumed_training_goes_on(device: torch.device, scale: Scale) -> Found:
    """Three epochs in one go, and two that are resumed for a third: bit-equal on a CPU, close on a GPU."""
    candidate = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")
    recipe = SMALL.recipe(epochs=3, warmup_epochs=1, batch_size=16)
    setup = make_setup(recipe, device, batches=5)
    whole = [epoch.train_loss for epoch in Trainer(candidate=candidate, seed=0, setup=setup).epochs()]
    with TemporaryDirectory(prefix="resume-") as folder:
        first = Trainer(candidate=candidate, seed=0, setup=setup, folder=Folder(folder))
        list(islice(first.epochs(), 2))
        again = Trainer(candidate=candidate, seed=0, setup=setup, folder=Folder(folder))
        require(len(again.history) == 2, f"{len(again.history)} epochs were restored, expected 2")
        resumed = [*again.history, *again.epochs()][-1].train_loss
    gap = abs(resumed - whole[-1])
    allowed = 0.02 if device.type == "cuda" else 0.0
    require(gap <= allowed, f"the third epoch's loss is {resumed:.4f} resumed and {whole[-1]:.4f} in one go")
    return Found(f"the third epoch's loss differs by {gap:.1e} nats")


def too_little_memory_halves_the_pass(device: torch.device, scale: Scale, gigabytes: float = 6.0) -> Found:
    """A trial that may use about so many gigabytes of the memory trains with fewer images at a time and finishes."""
    asked = 2 * scale.batch_size
    recipe = scale.recipe(batch_size=asked, micro_batch=None, epochs=1, warmup_epochs=0)
    trials = 1
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        trials = max(1, int(total / (gigabytes * 1e9 + CONTEXT_BYTES)))
    setup = make_setup(recipe, device, batches=1, trials_per_gpu=trials)
    task = TrialTask(key="", candidate=scale.candidate("CSKA"), seed=0, until=1)
    with _limited_passes(asked // 2) if device.type == "cpu" else nullcontext():
        outcomes = list(run_trial(task, setup))
    last = outcomes[-1]
    if isinstance(last, Failure):
        raise RuntimeError(f"the trial failed: {last.kind}: {last.message}")
    require(last.finished, "the trial did not finish")
    require(last.micro_batch < asked, f"{asked} images at a time fitted into {gigabytes:g} GB: nothing was tried")
    return Found(f"{asked} images at a time did not fit, {last.micro_batch} did; {_notes(outcomes)}")


def every_published_candidate_learns(device: torch.device, scale: Scale) -> Found:
    """Forward and backward of every published candidate on two images, under bf16 autocast: all gradients finite."""
    candidates: dict[Candidate, None] = {}
    for space in SPACES.values():
        for candidate in space.on(scale.backbone).published_candidates():
            if candidate.problem() is None and candidate.too_large(scale.img_size) is None:
                candidates[candidate] = None
    images = torch.randn(2, 3, scale.img_size, scale.img_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    for candidate in candidates:
        model = build(candidate, scale.img_size, num_classes=10, device=device)
        model.to(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(images).float().square().mean()
        loss.backward()
        for name, parameter in model.named_parameters():
            is_finite = parameter.grad is not None and bool(parameter.grad.isfinite().all())
            require(is_finite, f"{candidate}: the gradient of {name} is missing or not finite")
    return Found(f"{len(candidates)} candidates of {scale.backbone} at {scale.img_size} px")


def logits_are_those_of_a_cpu(device: torch.device, scale: Scale) -> Found:
    """The three candidates, and CSKA without softmax, in float32 on the device and on the CPU."""
    gaps = []
    for candidate in (*map(scale.candidate, ("baseline", "SKA", "CSKA")), _without_softmax(scale)):
        torch.manual_seed(0)
        model = build(candidate, scale.img_size, num_classes=10).eval()
        images = torch.randn(2, 3, scale.img_size, scale.img_size)
        with torch.inference_mode(), _without_tf32():
            expected = model(images)
            found = model.to(device)(images.to(device)).cpu()
        gap = ((found - expected).abs().max() / expected.abs().max()).item()
        require(gap < 0.01, f"{candidate}: logits differ by {gap:.1e} of the largest, expected below 1e-2")
        gaps.append(gap)
    return Found(f"logits differ by at most {max(gaps):.1e} of the largest")


def _without_softmax(scale: Scale) -> Candidate:
    candidate = scale.candidate("CSKA")
    stages = list(candidate.stages)
    stages[1] = replace(stages[1], softmax=False)
    return Candidate(candidate.backbone, tuple(stages))


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Convolutions in float32 are computed in float32; cuDNN rounds their inputs to 10 bits otherwise."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _require_falling(losses: list[float], name: str) -> None:
    require(all(map(math.isfinite, losses)), f"a {name} loss is not finite")
    first = fmean(losses[:5])
    last = fmean(losses[-5:])
    require(last < first, f"the {name} loss went from {first:.3f} to {last:.3f}, expected less")


def _ends(losses: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {values[-1]:.3f}" for name, values in losses.items())


def _largest_gap(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference of two lists of tensors, over the largest number of the second."""
    gap = max((one - other).abs().max().item() for one, other in zip(found, expected, strict=True))
    return gap / max(tensor.abs().max().item() for tensor in expected)


def _notes(outcomes: list[TrialReport | Failure]) -> str:
    notes = [outcome.note for outcome in outcomes if isinstance(outcome, TrialReport) and outcome.note]
    return "; ".join(notes) or "its size was chosen before a step"


@contextmanager
def _limited_passes(images: int) -> Iterator[None]:
    """A device without enough memory for more images than these at a time, for a CPU, whose memory has no limit."""
    loss = TrainingModel.loss

    def limited_loss(model: TrainingModel, batch: Tensor, labels: Tensor) -> Tensor:
        if len(batch) > images:
            raise torch.OutOfMemoryError(f"{len(batch)} images, as if there were memory for {images}")
        return loss(model, batch, labels)

    with mock.patch.object(TrainingModel, "loss", limited_loss):
        yield


CHECKS = (
    bfloat16_trains_as_float32,
    float16_scaler_skips_overflow,
    compiled_trains_as_eager,
    one_rank_exchanges_gradients,
    resumed_training_goes_on,
    too_little_memory_halves_the_pass,
    every_published_candidate_learns,
    logits_are_those_of_a_cpu,
)
