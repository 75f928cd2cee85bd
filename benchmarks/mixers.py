"""How much cheaper are the mixers here than the paper's equations written out? `python -m benchmarks.mixers`

Prints, for each mixer and grid of CAFormer-S18 at 224 px, time of ours over time of the plain form, forward and
backward, both measured in turn in this run on this device. Below 1 is faster.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from searchspace.static_keys import CSKA, SKA, StaticKeyMixer
from trainers.device import device_name

STAGES = ((28, 128), (14, 320), (7, 512))  # grid side and channels of stages 2 to 4
HEAD_DIM = 32
BATCH = 8
REPEATS = 7


def plain(mixer: StaticKeyMixer, x: Tensor) -> Tensor:
    """Section 4, step by step: all logits, softmax over keys, times v."""
    B, N, D = x.shape
    h, d = mixer.num_heads, mixer.head_dim
    q, v = (tokens.view(B, N, h, d).transpose(1, 2) for tokens in mixer.queries_and_values(x))
    if isinstance(mixer, SKA):
        logits = q @ mixer.key.flatten(1, 2).mT
    else:
        q_map = q.transpose(2, 3).reshape(B, D, *mixer.grid)
        weight, bias = mixer.weight.flatten(1, 2).flatten(0, 1), mixer.bias.flatten()
        logits = F.conv2d(q_map, weight, bias, padding=1, groups=h).view(B, h, N, N).mT
    logits = logits * mixer.scale
    weights = logits.softmax(-1) if mixer.softmax else logits
    return mixer.proj((weights @ v).transpose(1, 2).reshape(B, N, D))


def seconds(work: Callable[[Tensor], Tensor], x: Tensor) -> float:
    start = time.perf_counter()
    work(x).sum().backward()
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(mixer: StaticKeyMixer, x: Tensor) -> float:
    """Median of ours / plain over pairs measured in turn, after one of each to warm up."""
    pairs = [(seconds(mixer, x), seconds(lambda y: plain(mixer, y), x)) for _ in range(REPEATS + 1)]
    return statistics.median(ours / theirs for ours, theirs in pairs[1:])


def main() -> None:
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{device_name(device)}, batch {BATCH}, head dim {HEAD_DIM}, fp32, forward and backward, ours / plain")
    print(f"{'mixer':16}" + "".join(f"{side * side:>6} tokens" for side, _ in STAGES))
    for cls in (SKA, CSKA):
        for softmax in (True, False):
            ratios = []
            for side, dim in STAGES:
                mixer = cls(dim, dim // HEAD_DIM, (side, side), softmax=softmax, device=device)
                ratios.append(ratio(mixer, torch.randn(BATCH, side * side, dim, device=device, requires_grad=True)))
            name = f"{cls.__name__.lower()}{'' if softmax else '.nosoftmax'}"
            print(f"{name:16}" + "".join(f"{value:13.2f}" for value in ratios))


if __name__ == "__main__":
    main()
