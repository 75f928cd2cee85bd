"""Trains the learning curves that `benchmarks.futility` replays beside those of placements: small networks, many seeds.

`python -m benchmarks.make_futility_curves FASHION.parquet [--out DIR]` takes a quarter of an hour on one core. It
writes `curves_futility.parquet` with the columns set, trial, seed, epoch and top1 (percent of held-out images):

- `mlp`: perceptrons on scikit-learn's digits over width, learning rate and weight decay, at a constant learning rate.
  Those with a small learning rate or a large weight decay start slowly, and some of them win.
- `mlp cosine`: the same with a cosine schedule, under which large learning rates start badly and win late.
- `plateaus`: perceptrons with three hidden layers of sigmoids or tanh, trained by SGD. Some stay at the accuracy of
  guessing for many epochs before they learn anything, and some of these win.
- `convnets`: eight small convolutional networks on 3,000 images of Fashion-MNIST, with a cosine schedule.
- `fashion`: perceptrons on 2,000 images of Fashion-MNIST (7 x 7 pixels), with one to four hidden layers of 8 to 64
  GELUs and a cosine schedule; three seeds. This set was made after all constants of the rule had been chosen.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

EPOCHS = 60  # of the perceptrons
CONVNET_EPOCHS = 24
SEEDS = 5
BATCH = 32
TRAINED = 900  # of the 1,797 digits; the others are held out
CONVNETS = ("plain", "wide", "narrow", "deep", "large kernels", "1 x 1 kernels", "no norm", "tanh")
FASHION_SEEDS = 3

Tensors = list[torch.Tensor]
Step = Callable[[Tensors, tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Perceptrons:
    """Perceptrons of one shape, trained side by side: one for each learning rate, weight decay and seed."""

    curve_set: str
    widths: tuple[int, ...]  # of all layers, pixels and classes included
    activation: Callable[[torch.Tensor], torch.Tensor]
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    cosine: bool = False

    def settings(self) -> list[tuple[float, float, int]]:
        """Learning rate, weight decay and seed of each model."""
        return list(itertools.product(self.learning_rates, self.weight_decays, range(SEEDS)))

    def name(self, lr: float, decay: float) -> str:
        """The trial that all seeds of these settings belong to."""
        return f"{self.activation.__name__} width {self.widths[1]}, lr {lr:g}, decay {decay:g}"


def perceptrons() -> Iterator[Perceptrons]:
    """All that are trained."""
    for curve_set, cosine in (("mlp", False), ("mlp cosine", True)):
        for width in (8, 32, 128):
            yield Perceptrons(
                curve_set=curve_set,
                widths=(64, width, 10),
                activation=torch.relu,
                learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
                weight_decays=(0.0, 0.3, 3.0),
                cosine=cosine,
            )
    for activation in (torch.sigmoid, torch.tanh):
        for width in (16, 64):
            yield Perceptrons(
                curve_set="plateaus",
                widths=(64, width, width, width, 10),
                activation=activation,
                learning_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
                weight_decays=(0.0, 1e-3),
                cosine=activation is torch.tanh,
            )


def perceptron_curves(models: Perceptrons) -> pd.DataFrame:
    """The curves of all these models, in the columns trial, seed, epoch and top1."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    pixels = torch.tensor(images[order] / 16, dtype=torch.float32)
    targets = torch.tensor(labels[order])
    settings = models.settings()
    generator = torch.Generator().manual_seed(models.widths[1] + models.cosine)
    weights = _initial_weights(models.widths, len(settings), generator)
    peak_lr = torch.tensor([lr for lr, _, _ in settings]).view(-1, 1, 1)
    decay = torch.tensor([decay for _, decay, _ in settings]).view(-1, 1, 1)
    step = sgd() if models.curve_set == "plateaus" else adamw()
    rows = []
    for epoch in range(1, EPOCHS + 1):
        factor = 0.5 * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS)) if models.cosine else 1.0
        shuffled = torch.rand(len(settings), TRAINED, generator=generator).argsort(dim=1)
        for batch in shuffled.split(BATCH, dim=1):
            logits = _logits(weights, pixels[batch], models.activation)
            losses = nn.functional.cross_entropy(logits.flatten(0, 1), targets[batch].flatten(), reduction="sum")
            gradients = torch.autograd.grad(losses / BATCH, weights)
            step(weights, gradients, peak_lr * factor, decay)
        with torch.no_grad():
            held_out = pixels[TRAINED:].expand(len(settings), -1, -1)
            predicted = _logits(weights, held_out, models.activation).argmax(-1)
        top1 = 100 * (predicted == targets[TRAINED:]).double().mean(1)
        for (lr, weight_decay, seed), value in zip(settings, top1.tolist(), strict=True):
            rows.append((models.name(lr, weight_decay), seed, epoch, value))
    return pd.DataFrame(rows, columns=["trial", "seed", "epoch", "top1"])


def _initial_weights(widths: tuple[int, ...], models: int, generator: torch.Generator) -> Tensors:
    """Weight (models, in, out) and bias (models, 1, out) of each layer."""
    weights = []
    for fan_in, fan_out in itertools.pairwise(widths):
        weights.append(torch.randn(models, fan_in, fan_out, generator=generator) / fan_in**0.5)
        weights.append(torch.zeros(models, 1, fan_out))
    for weight in weights:
        weight.requires_grad_()
    return weights


def _logits(weights: Tensors, pixels: torch.Tensor, activation: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """(models, batch, 10) from pixels (models, batch, 64)."""
    hidden = pixels
    for layer in range(0, len(weights), 2):
        if layer:
            hidden = activation(hidden)
        hidden = torch.baddbmm(weights[layer + 1], hidden, weights[layer])
    return hidden


def adamw() -> Step:
    """A step of AdamW with a learning rate and a weight decay of (models, 1, 1)."""
    means: dict[int, torch.Tensor] = {}
    squares: dict[int, torch.Tensor] = {}
    number = 0

    @torch.no_grad()
    def step(weights: Tensors, gradients: tuple[torch.Tensor, ...], lr: torch.Tensor, decay: torch.Tensor) -> None:
        nonlocal number
        number += 1
        for place, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            mean = means.setdefault(place, torch.zeros_like(weight)).lerp_(gradient, 0.1)
            square = squares.setdefault(place, torch.zeros_like(weight)).lerp_(gradient**2, 0.001)
            denominator = (square / (1 - 0.999**number)).sqrt() + 1e-8
            weight.mul_(1 - lr * decay)
            weight.sub_(lr * mean / (1 - 0.9**number) / denominator)

    return step


def sgd() -> Step:
    """A step of SGD with momentum .9, and with a learning rate and a weight decay of (models, 1, 1)."""
    momenta: dict[int, torch.Tensor] = {}

    @torch.no_grad()
    def step(weights: Tensors, gradients: tuple[torch.Tensor, ...], lr: torch.Tensor, decay: torch.Tensor) -> None:
        for place, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            momentum = momenta.setdefault(place, torch.zeros_like(weight))
            momentum.mul_(0.9).add_(gradient + decay * weight)
            weight.sub_(lr * momentum)

    return step


def convnet(kind: str) -> nn.Sequential:
    """A network for (B, 1, 14, 14): a stem, two or four blocks, and a linear head."""
    width = {"wide": 24, "narrow": 8}.get(kind, 16)
    kernel = {"large kernels": 5, "1 x 1 kernels": 1}.get(kind, 3)
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, stride=2, padding=1)]
    for block in range(4 if kind == "deep" else 2):
        layers.append(nn.Conv2d(width, width, kernel, stride=1 + (block == 1), padding=kernel // 2))
        if kind != "no norm":
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.Tanh() if kind == "tanh" else nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))


def convnet_curve(kind: str, seed: int, images: torch.Tensor, labels: torch.Tensor) -> Iterator[float]:
    """Top-1 (percent) after each epoch, trained on the first 3,000 images and evaluated on the rest."""
    torch.manual_seed(seed)
    model = convnet(kind)
    model(images[:2])  # makes the head
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, CONVNET_EPOCHS)
    for _ in range(CONVNET_EPOCHS):
        model.train()
        for batch in torch.randperm(3000).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch], label_smoothing=0.1).backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.no_grad():
            correct = model(images[3000:]).argmax(1) == labels[3000:]
        yield 100 * correct.double().mean().item()


def fashion_curves(depth: int, width: int, pixels: torch.Tensor, labels: torch.Tensor) -> pd.DataFrame:
    """The curves of one perceptron, in the columns seed, epoch and top1; all seeds are trained side by side."""
    trained = 2000
    generator = torch.Generator().manual_seed(100 * depth + width)
    weights = []
    for fan_in, fan_out in itertools.pairwise((pixels.shape[1], *[width] * depth, 10)):
        weights.append(torch.randn(FASHION_SEEDS, fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5)
        weights.append(torch.zeros(FASHION_SEEDS, 1, fan_out))
    for weight in weights:
        weight.requires_grad_()
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    rows = []
    for epoch in range(1, EPOCHS + 1):
        shuffled = torch.rand(FASHION_SEEDS, trained, generator=generator).argsort(dim=1)
        for batch in shuffled.split(50, dim=1):
            optimizer.zero_grad()
            logits = _logits(weights, pixels[batch], nn.functional.gelu).flatten(0, 1)
            loss = nn.functional.cross_entropy(logits, labels[batch].flatten(), reduction="sum") / 50
            loss.backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            predicted = _logits(weights, pixels[trained:].expand(FASHION_SEEDS, -1, -1), nn.functional.gelu).argmax(-1)
        top1 = 100 * (predicted == labels[trained:]).double().mean(1)
        rows.extend((seed, epoch, value) for seed, value in enumerate(top1.tolist()))
    return pd.DataFrame(rows, columns=["seed", "epoch", "top1"])


def read_fashion(file: Path, number: int = 6000) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (number, 1, 14, 14), halved in side, and labels."""
    table = pd.read_parquet(file).iloc[:number]
    column = "image" if "image" in table else "img"
    pixels = [np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("L")) for cell in table[column]]
    images = torch.tensor(np.stack(pixels), dtype=torch.float32)[:, None] / 255 - 0.3
    labels = torch.tensor(table["label"].to_numpy())
    return nn.functional.avg_pool2d(images, 2), labels


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fashion", type=Path, help="train.parquet of Fashion-MNIST")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    tables = []
    for models in perceptrons():
        tables.append(perceptron_curves(models).assign(set=models.curve_set))
        print(f"{models.curve_set}, width {models.widths[1]}: done", flush=True)
    images, labels = read_fashion(args.fashion)
    for kind, seed in itertools.product(CONVNETS, range(SEEDS)):
        top1 = list(convnet_curve(kind, seed, images, labels))
        curve = pd.DataFrame({"epoch": range(1, len(top1) + 1), "top1": top1})
        tables.append(curve.assign(set="convnets", trial=kind, seed=seed))
        print(f"{kind}, seed {seed}: {top1[-1]:.1f} %", flush=True)
    pixels = nn.functional.avg_pool2d(images, 2).flatten(1)
    for depth, width in itertools.product((1, 2, 3, 4), (8, 16, 32, 64)):
        curve = fashion_curves(depth, width, pixels, labels)
        tables.append(curve.assign(set="fashion", trial=f"depth {depth}, width {width}"))
    curves = pd.concat(tables)[["set", "trial", "seed", "epoch", "top1"]]
    curves = curves.astype({"seed": "int8", "epoch": "int16", "top1": "float32"})
    curves.to_parquet(args.out / "curves_futility.parquet", index=False, compression="zstd")
    return 0


if __name__ == "__main__":
    sys.exit(main())
