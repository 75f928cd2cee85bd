"""Several processes on one GPU: what a CUDA context costs, and how fast small trials are side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from queue import Empty
from typing import Any

import psutil
import torch

from benchmarks.gpu.outcomes import CheckFailedError, Found, Measurement
from benchmarks.gpu.scale import SMALL, Scale
from benchmarks.training import make_trainer, noise, ours
from searchspace.candidate import Candidate
from trainers.device import choose_kernels_by_speed
from trainers.recipes import CIFAR10
from trainers.resources import Resources

START_SECONDS = 60.0  # for a process to import torch and to open the device


def memory_of_a_context(device: torch.device, scale: Scale) -> Found:
    """Bytes of the device that a second process takes for itself, beyond the tensors that it holds."""
    torch.ones(8, 8, device=device).mm(torch.ones(8, 8, device=device))  # this process has its own context before
    before = _free_bytes(device)
    context = _processes(device)
    results = context.Queue()
    stop = context.Event()
    with _running(context, _hold_a_context, [(device.type, results, stop)]):
        reserved = _receive(results, 1)[0]
        taken = before - _free_bytes(device) - int(reserved)
        stop.set()
    return Found(f"{taken / 1e6:,.0f} MB for a process that has multiplied and convolved once")


def small_trials_side_by_side(device: torch.device, scale: Scale) -> Found:
    """Images per second of steps of recipe `cifar10`, summed over 1, 4 and 8 processes on one device."""
    measured = []
    for number in scale.trials:
        speed = _side_by_side(device, scale, number)
        measured.append(Measurement(what=f"{number} trials", variant="cifar10 steps", images_per_second=speed))
    text = ", ".join(f"{each.what} {each.images_per_second:,.0f} images/s" for each in measured)
    return Found(f"{text}; {_mps()}", tuple(measured))


def _side_by_side(device: torch.device, scale: Scale, number: int) -> float:
    context = _processes(device)
    results = context.Queue()
    barrier = context.Barrier(number)
    arguments = (device.type, scale.seconds, number, barrier, results)
    with _running(context, _train_small, [arguments] * number):
        return sum(_receive(results, number))


def _train_small(device_type: str, seconds: float, number: int, barrier: Any, results: Any) -> None:
    """Train steps of a small model for so many seconds, at the same time as the others; send images per second."""
    torch.set_num_threads(1)
    device = torch.device(device_type)
    choose_kernels_by_speed(device)
    resources = Resources(device=device_type, trials_per_gpu=number)
    if device_type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(resources.memory_fraction(total))
    recipe = replace(CIFAR10, backbone=SMALL.backbone)
    candidate = Candidate.parse("caformer_micro-dwconv-cska-attn-attn")
    trainer = make_trainer(candidate, recipe, noise(recipe, 10, 1), resources)
    size = recipe.batch_size
    images = trainer.loader.normalise(trainer.loader.train_images[:size])
    step = ours(trainer, images, trainer.loader.train_labels[:size])
    for _ in range(3):
        step()
    _synchronize(device)
    barrier.wait(START_SECONDS)
    start = time.perf_counter()
    steps = 0
    while time.perf_counter() - start < seconds:
        step()
        _synchronize(device)
        steps += 1
    results.put(steps * size / (time.perf_counter() - start))


def _hold_a_context(device_type: str, results: Any, stop: Any) -> None:
    device = torch.device(device_type)
    images = torch.ones(1, 8, 16, 16, device=device)
    torch.nn.functional.conv2d(images, torch.ones(8, 8, 3, 3, device=device))
    images.flatten(1).mm(images.flatten(1).mT)
    _synchronize(device)
    results.put(torch.cuda.memory_reserved(device) if device_type == "cuda" else 0)
    stop.wait(START_SECONDS)


def _processes(device: torch.device) -> Any:
    """How processes are started: CUDA does not survive a fork, and a CPU has nothing that would not."""
    return get_context("spawn" if device.type == "cuda" else "fork")


@contextmanager
def _running(context: Any, target: Any, arguments: list[tuple[Any, ...]]) -> Iterator[None]:
    """Run a process for each tuple of arguments; in the end those that still run are killed."""
    processes = [context.Process(target=target, args=each) for each in arguments]
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            if process.pid is not None:
                process.join(5)
                process.kill()
                process.join()


def _receive(results: Any, number: int) -> list[float]:
    try:
        return [results.get(timeout=START_SECONDS) for _ in range(number)]
    except Empty:
        raise CheckFailedError(f"a process sent nothing for {START_SECONDS:.0f} s") from None


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _mps() -> str:
    """Whether NVIDIA's multi-process service runs, as far as its control daemon's folder tells."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")  # noqa: S108  its documented default
    return "with MPS" if os.path.exists(folder) else "without MPS"
