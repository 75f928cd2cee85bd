"""Tables of architectures that were trained before: to evaluate one is to look up the top-1 of one of its seeds."""

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
    """An encoded space with the top-1 of every candidate; a candidate is a row."""

    space: EncodedSpace
    top1: Floats  # (rows, seeds), percent; NaN where a seed was not run

    @classmethod
    def read(cls, path: Path, ordinal: tuple[str, ...] = ()) -> Table:
        """Reads levels from the columns x0, x1, ... and top-1 from top1_seed0, top1_seed1, ...

        Raises ValueError or OSError for any other file.
        """
        if not path.is_file():
            raise FileNotFoundError("no such file")
        table = pd.read_parquet(path)
        axes = table.filter(regex=r"^x\d+$")
        seeds = table.filter(regex=r"^top1_seed\d+$")
        if axes.empty or seeds.empty:
            raise ValueError(f"columns {', '.join(map(str, table.columns))}; want x0, x1, ... and top1_seed0, ...")
        if not all(pd.api.types.is_integer_dtype(column) for _, column in axes.items()):
            raise ValueError(f"levels of types {', '.join(map(str, axes.dtypes))}; want whole numbers")
        unknown = set(ordinal) - set(axes)
        if unknown:
            raise ValueError(f"no axis {', '.join(sorted(unknown))} among {', '.join(map(str, axes))}")
        top1 = seeds.to_numpy(dtype=float)
        has_run = np.isfinite(top1).any(axis=1)
        levels = axes.to_numpy(dtype=np.int64)[has_run]
        if len(np.unique(levels, axis=0)) < max(len(levels), 2):
            raise ValueError(f"{len(levels)} rows with a top-1, some of the same levels; want 2 or more, all different")
        space = EncodedSpace(levels, tuple(name in ordinal for name in axes))
        return cls(space, top1[has_run])

    def means(self) -> Floats:
        """(rows,): mean top-1 over the seeds that were run."""
        return np.nanmean(self.top1, axis=1)

    def draw(self, row: int, rng: np.random.Generator) -> float:
        """Top-1 of a random one of the seeds that the row was run with."""
        values = self.top1[row]
        return float(rng.choice(values[np.isfinite(values)]))

    def nearest(self, levels: NDArray[np.int64], rng: np.random.Generator) -> int:
        """The row with these levels or, if there is none, a random one of those that differ on the fewest axes."""
        distances = (self.space.levels != levels).sum(axis=1)
        return int(rng.choice(np.flatnonzero(distances == distances.min())))


def positive(text: str) -> int:
    """An argparse type: a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}, want 1 or more")
    return number


def confidence(text: str) -> float:
    """An argparse type: a confidence between 0.5 and 1."""
    number = float(text)
    if not 0.5 < number < 1:
        raise argparse.ArgumentTypeError(f"{text}, want more than 0.5 and less than 1")
    return number
