"""Computes on one GPU, in a process of its own, what training needs of it: `python -m trainers.device_check`.

The environment's CUDA_VISIBLE_DEVICES names the GPU. With `--compile`, torch.compile is tried too. The last line
that is printed is JSON: the device's name, and its problem or null.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Check = Callable[[torch.device], str | None]


@dataclass(frozen=True)
class CheckResult:
    """What the check of one device found; `problem` is one line, or None for a device that can train."""

    name: str
    problem: str | None


def check_device(device: torch.device, *, compiles: bool) -> CheckResult:
    """Compute on the device and compare with the CPU. Errors become the problem; nothing is raised."""
    name = "unknown"
    checks: list[Check] = [check_memory, check_matmul, check_convolution]
    if compiles:
        checks.append(check_compile)
    try:
        name = _name(device)
        for check in checks:
            problem = check(device)
            if problem:
                return CheckResult(name, problem)
    except Exception as error:
        return CheckResult(name, f"torch {torch.__version__}: {first_line(error)}")
    return CheckResult(name, None)


def check_memory(device: torch.device, min_free_bytes: float = 2e9) -> str | None:
    """A GPU whose memory others have filled cannot train.

    The default is assumed: a context of about 0.6 GB and a small model. benchmarks.gpu measures the models.
    """
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    if free < min_free_bytes:
        return f"{free / 1e9:.1f} of {total / 1e9:.0f} GB are free: other processes use it"
    return None


def check_matmul(device: torch.device, size: int = 1024) -> str | None:
    """Products of small whole numbers, which float32, TF32 and bfloat16 compute exactly until they round the result."""
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False  # partial sums stay exact
    left = _whole_numbers(size, size)
    right = _whole_numbers(size, size)
    expected = left @ right
    for dtype in (torch.float32, torch.bfloat16):
        found = left.to(device, dtype) @ right.to(device, dtype)
        if not torch.equal(found.cpu(), expected.to(dtype)):
            return f"a matrix product in {str(dtype).removeprefix('torch.')} differs from the CPU's"
    return None


def check_convolution(device: torch.device, channels: int = 32, size: int = 28) -> str | None:
    """The gradients of a convolution, to a hundredth of the largest: algorithms of cuDNN round differently."""
    images = _whole_numbers(16, channels, size, size)
    weights = _whole_numbers(channels, channels, 3, 3)
    expected = _convolution_gradients(images, weights, torch.device("cpu"))
    found = _convolution_gradients(images, weights, device)
    for one, other in zip(found, expected, strict=True):
        if not torch.allclose(one, other, rtol=0, atol=0.01 * float(other.abs().max())):
            return "the gradient of a convolution differs from the CPU's"
    return None


def check_compile(device: torch.device) -> str | None:
    """A compiled function, without the caches: this needs Triton and a C compiler."""

    def scaled_sine(values: Tensor) -> Tensor:
        return torch.sin(values) * 2 + 1

    values = torch.linspace(0, 1, 1000)
    try:
        found = torch.compile(scaled_sine)(values.to(device))
    except Exception as error:
        return f"torch.compile fails: {first_line(error)}"
    if not torch.allclose(found.cpu(), scaled_sine(values), atol=1e-5):
        return "a compiled function differs from the CPU's"
    return None


def first_line(error: BaseException, longest: int = 200) -> str:
    """The first line of an error that says something, cut to `longest` characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text[:longest]


def main(arguments: list[str]) -> None:
    """Check the first visible GPU and print the result."""
    with ExitStack() as stack:
        for variable in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):  # an old cache would hide a missing compiler
            folder = tempfile.TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True)
            os.environ[variable] = stack.enter_context(folder)
        result = check_device(torch.device("cuda", 0), compiles="--compile" in arguments)
    print(json.dumps(asdict(result)), flush=True)
    os._exit(0)  # a sick driver may hang in the interpreter's own exit


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    torch.cuda.init()  # raises with the driver's own reason
    return torch.cuda.get_device_name(device)


def _whole_numbers(*shape: int) -> Tensor:
    """Whole numbers from -4 to 4, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-4, 5, shape, generator=generator).float()


def _convolution_gradients(images: Tensor, weights: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The gradients of half the sum of squares of a convolution: of the images and of the weights, on the CPU."""
    images = images.to(device, copy=True).requires_grad_()
    weights = weights.to(device, copy=True).requires_grad_()
    loss = F.conv2d(images, weights, padding=1).square().mean() / 2
    image_gradient, weight_gradient = torch.autograd.grad(loss, (images, weights))
    return image_gradient.cpu(), weight_gradient.cpu()


if __name__ == "__main__":
    main(sys.argv[1:])
