"""A table of architectures that were trained before: evaluating one is looking up the top-1 of one of its seeds."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schedulers.encoded_space import EncodedSpace

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows are points of a space; top-1 in percent, NaN where a seed was not run."""

    points: EncodedSpace
    top1: Floats  # (rows, seeds)

    @classmethod
    def read(cls, path: Path, ordinal: tuple[str, ...] = ()) -> Table:
        """Columns x0..xk with whole numbers and top1_seed0..s. ValueError or OSError for anything else."""
        if not path.is_file():
            raise FileNotFoundError("no such file")
        table = pd.read_parquet(path)
        axes, seeds = table.filter(regex=r"^x\d+$"), table.filter(regex=r"^top1_seed\d+$")
        if axes.empty or seeds.empty:
            raise ValueError(f"columns {', '.join(map(str, table.columns))}; want x0, x1, ... and top1_seed0, ...")
        if not all(pd.api.types.is_integer_dtype(column) for _, column in axes.items()):
            raise ValueError(f"levels of types {', '.join(map(str, axes.dtypes))}; want whole numbers")
        if unknown := set(ordinal) - set(axes):
            raise ValueError(f"no axis {', '.join(sorted(unknown))} among {', '.join(map(str, axes))}")
        top1 = seeds.to_numpy(dtype=float)
        ran = np.isfinite(top1).any(axis=1)
        levels = axes.to_numpy(dtype=np.int64)[ran]
        if len(np.unique(levels, axis=0)) < max(len(levels), 2):
            raise ValueError(f"{len(levels)} rows with a top-1, some of the same levels; want 2 or more, all different")
        return cls(EncodedSpace(levels, tuple(name in ordinal for name in axes)), top1[ran])

    def means(self) -> Floats:
        return np.nanmean(self.top1, axis=1)

    def draw(self, row: int, rng: np.random.Generator) -> float:
        """Top-1 of one of the seeds that the row was run with."""
        values = self.top1[row]
        return float(rng.choice(values[np.isfinite(values)]))

    def nearest(self, levels: NDArray[np.int64], rng: np.random.Generator) -> int:
        """The row of these levels or, if there is none, one that differs on the fewest axes."""
        distances = (self.points.levels != levels).sum(axis=1)
        return int(rng.choice(np.flatnonzero(distances == distances.min())))


def positive(text: str) -> int:
    """A command line's number of something."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}, want 1 or more")
    return number


def confidence(text: str) -> float:
    """A command line's confidence."""
    if not 0.5 < (number := float(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}, want more than 0.5 and less than 1")
    return number
