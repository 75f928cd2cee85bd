"""Does a warm start rank placements as training from scratch does? `python -m benchmarks.warm_ranks`, a few seconds.

Two files beside this one hold learning curves of the same 64 placements on CIFAR-10's first 7,500 images, a third held
out, seed 0: from scratch (recipe cifar10_curves, 27 epochs), and from the weights that the baseline has after those 27
epochs with seed 100, in 3 epochs, of which the first trains the new mixers alone. `--data DIR` trains the latter anew,
about an hour of one thread, and replaces them; `--epochs 9` adds longer ones, three of nine for the mixers alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.tabular import positive
from searchspace.candidate import CAFORMER_PLACEMENT, Candidate
from trainers.data.in_memory import InMemoryDataset
from trainers.data.open_dataset import load_in_memory
from trainers.recipes import CIFAR10_CURVES

Floats = NDArray[np.float64]

SCRATCH, WARM = (Path(__file__).with_name(name) for name in ("curves_cifar10.parquet", "warm_cifar10.parquet"))
IMAGES = 7500
RESAMPLES = 2000


def kept(placements: list[str]) -> Floats:
    """(placements, 4): which stages are as in the backbone."""
    own = CAFORMER_PLACEMENT.split("-")
    return np.array([[stage == mine for stage, mine in zip(p.split("-"), own, strict=True)] for p in placements], float)


def residual(values: Floats, stages: Floats) -> Floats:
    """What the stages kept do not explain of `values`, by least squares."""
    design = np.column_stack([np.ones(len(stages)), stages])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def rank_correlation(one: Floats, other: Floats) -> tuple[float, float, float]:
    """Spearman's, with its 95 % bootstrap interval over placements."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(one), len(one)) for _ in range(RESAMPLES))
    low, high = np.nanpercentile([spearmanr(one[draw], other[draw])[0] for draw in draws], [2.5, 97.5])
    return float(spearmanr(one, other)[0]), float(low), float(high)


def line(name: str, top1: Floats, final: Floats, stages: Floats) -> str:
    """One row of the table: ranks against those at the end, in all and among placements that keep the same stages."""
    share = 100 * (1 - residual(top1, stages).var() / top1.var())
    cells = [rank_correlation(top1, final), rank_correlation(residual(top1, stages), residual(final, stages))]
    texts = [f"{value:+.2f} [{low:+.2f}, {high:+.2f}]" for value, low, high in cells]
    return f"{name:22} {top1.mean():6.1f} {top1.std(ddof=1):5.2f} {share:9.0f}   {texts[0]:21} {texts[1]}"


def table(scratch: pd.DataFrame, warm: pd.DataFrame) -> list[str]:
    """Curves in the columns trial, epoch and top1, those of a warm start also `epochs`, how many it has."""
    cold = scratch.pivot(index="trial", columns="epoch", values="top1")
    stages, final = kept(list(cold.index)), cold.iloc[:, -1].to_numpy(float)
    lines = [f"{'':22} {'top-1':>6} {'sd':>5} {'% by kept':>9}   {'ranks, all':21} ranks, same stages kept"]
    for epochs, curves in warm[warm["epoch"] == warm["epochs"]].groupby("epochs"):
        top1 = curves.set_index("trial").loc[cold.index, "top1"].to_numpy(float)
        lines.append(line(f"warm, {epochs} epochs", top1, final, stages))
    return lines + [line(f"scratch, epoch {n}", cold[n].to_numpy(float), final, stages) for n in (1, 3, 9, 18, 27)]


def train(data: InMemoryDataset, placements: list[str], epochs: int) -> pd.DataFrame:
    """Warm starts of all placements."""
    from trainers.resources import whole_machine
    from trainers.trainer import Trainer
    from trainers.trial_task import TrainingSetup
    from trainers.warm_start import Weights

    baseline = Candidate.parse(f"caformer_micro-{CAFORMER_PLACEMENT}")
    resources = whole_machine(1)
    setup = TrainingSetup(recipe=CIFAR10_CURVES, data=data, resources=resources, checkpoints=None)
    source = Trainer(candidate=baseline, seed=100, setup=setup)
    for _ in source.epochs():
        pass
    tensors = {name: tensor.cpu().contiguous() for name, tensor in source.model.state_dict().items()}
    weights, rows = Weights(str(baseline), str(baseline), tensors), []
    recipe = replace(
        CIFAR10_CURVES, epochs=epochs, warmup_epochs=0, lr=1e-3, mixers_first=epochs // 3, init=str(weights)
    )
    setup = replace(setup, recipe=recipe, weights=weights)
    for placement in placements:
        trainer = Trainer(candidate=Candidate.parse(f"caformer_micro-{placement}"), seed=0, setup=setup)
        curve = [epoch.top1 for epoch in trainer.epochs()]
        rows += [(epochs, placement, number, top1) for number, top1 in enumerate(curve, 1)]
        print(f"{placement:24} {curve[-1]:.1f}", flush=True)
    return pd.DataFrame(rows, columns=["epochs", "trial", "epoch", "top1"])


def first_images(where: str) -> InMemoryDataset:
    """The first training images of CIFAR-10."""
    data = load_in_memory(where, CIFAR10_CURVES.img_size)
    return replace(data, train_images=data.train_images[:IMAGES], train_labels=data.train_labels[:IMAGES])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm_ranks", description=__doc__.partition("`")[0])
    parser.add_argument("--data", metavar="DIR", help="CIFAR-10, to train anew")
    parser.add_argument("--epochs", type=positive, default=3, metavar="N", help="of a warm start (%(default)s)")
    args = parser.parse_args()
    scratch = pd.read_parquet(SCRATCH)
    if args.data:
        try:
            data = first_images(args.data)
        except (ValueError, OSError) as error:
            print(f"warm_ranks: error: {error}", file=sys.stderr)
            return 2
        fresh = train(data, sorted(scratch["trial"].unique()), args.epochs)
        others = pd.read_parquet(WARM).query("epochs != @args.epochs") if WARM.exists() else fresh[:0]
        pd.concat([others, fresh]).astype({"epochs": "int16", "epoch": "int16", "top1": "float32"}).to_parquet(WARM)
    print(*table(scratch, pd.read_parquet(WARM)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
