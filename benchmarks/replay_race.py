"""How often does a race find the best of 81 candidates, in how many runs, and is it right when it says so?

`python -m benchmarks.replay_race --table FILE.parquet [--fixed 0,2] [--repeats 200] [--out DIR]`, minutes on 4 cores.

The table holds final top-1 in percent, an architecture a row: levels in x0, x1, ..., top-1 in top1_seed0, ... The
candidates are all combinations of the first three levels of x0 to x3; what the other columns hold is fixed. By how much
the best leads (`gap`, points) depends on that; without --fixed those values are taken at which one seed of each
candidate (`single`) picks the best in about half of all cases. What the race makes of them has no part in the choice.
A candidate's true top-1 is the mean of its seeds; a run adds normal noise of the pooled sd.

Beside the race: one seed of each (81 runs), five seeds of each (405), and the race's budget dealt out evenly. Then
three races on the candidates of the first line: shuffled, so that the levels say nothing; all alike; and the two best
alike. In the last two every declaration is wrong. `wrong` is the share of all races that ended in a wrong declaration.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.tabular import Table, confidence, positive
from results.statistics.comparison import pooled_sd
from schedulers.encoded_space import EncodedSpace
from schedulers.racing import Race

VARIED, LEVELS = 4, 3  # columns and levels of each that make the candidates
CHEAP = 20_000  # repeats of what needs no race
HALF = (0.4, 0.6)  # share of right single seeds that is about one half
HEAD = "fixed            gap   single  5 seeds  uniform        race     runs   max  declared  of them right   wrong"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instance:
    """Candidates with their true top-1, and the sd between seeds."""

    name: str
    points: EncodedSpace
    truth: Floats
    sd: float

    @property
    def gap(self) -> float:
        second, best = np.sort(self.truth)[-2:]
        return float(best - second)

    def right(self, candidates: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each is the best; where two tie for it, none is."""
        return (self.truth[candidates] == self.truth.max()) & (self.gap > 0)

    def exhaustive(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> float:
        """Share of repeats in which the best mean over so many seeds (of each candidate) is the best candidate's."""
        chunks = (
            self.truth + rng.normal(0, self.sd, (1000, len(self.truth))) / np.sqrt(seeds) for _ in range(CHEAP // 1000)
        )
        return float(np.mean([self.right(means.argmax(axis=1)).mean() for means in chunks]))

    def uniform(self, runs: int, rng: np.random.Generator) -> float:
        """The same for a budget that is dealt out evenly; which candidates get the odd seeds does not matter much."""
        seeds = np.full(len(self.truth), runs // len(self.truth))
        shares = []
        for _ in range(20):
            odd = rng.permutation(len(self.truth))[: runs % len(self.truth)]
            shares.append(self.exhaustive(seeds + np.isin(np.arange(len(seeds)), odd), rng))
        return float(np.mean(shares))


@dataclass(frozen=True)
class Replay:
    """How one race ended."""

    instance: str
    repeat: int
    runs: int
    candidates: int  # that were run
    declared: bool  # ended by confidence, not by the budget
    right: bool
    regret: float  # points that the leader is below the best
    confidence: float
    sd: float


def instances(table: Table) -> Iterator[Instance]:
    """For each combination of values in the other columns, the candidates that are made in the first ones."""
    complete = table.top1[np.isfinite(table.top1).all(axis=1)]
    means = complete.mean(axis=1)
    sd = pooled_sd(complete[means >= np.median(means)])  # the better half: in the other some seeds never trained
    varied, fixed = np.split(table.points.levels, [VARIED], axis=1)
    chosen = np.ones(len(varied), dtype=bool)
    for column in varied.T:
        chosen &= np.isin(column, np.unique(column)[:LEVELS])
    for values in np.unique(fixed, axis=0):
        rows = np.flatnonzero(chosen & (fixed == values).all(axis=1))
        if len(rows) > 1:
            points = EncodedSpace(varied[rows], (False,) * varied.shape[1])
            yield Instance(",".join(map(str, values)), points, table.means()[rows], sd)


def selected(table: Table, fixed: str | None) -> list[Instance]:
    """The instance that was asked for, or those on which single seeds are right about half of the time.

    Where there is none such, the one that is nearest to it.
    """
    found = list(instances(table))
    if not found or not np.isfinite(found[0].sd):
        raise ValueError("no candidates, or no row with two seeds; want both, for the noise is measured on seeds")
    singles = {each.name: each.exhaustive(np.array(1), np.random.default_rng(0)) for each in found}
    if fixed is not None and fixed not in singles:
        raise ValueError(f"--fixed {fixed}, expected one of {' '.join(singles)}")
    if fixed is not None:
        return [each for each in found if each.name == fixed]
    half = [each for each in found if HALF[0] <= singles[each.name] <= HALF[1]]
    return half or [min(found, key=lambda each: abs(singles[each.name] - np.mean(HALF)))]


def controls(instance: Instance, rng: np.random.Generator) -> Iterator[Instance]:
    """The same candidates in races that the levels do not help, or that nobody can win."""
    truth = np.sort(instance.truth)[::-1].copy()
    yield Instance("shuffled", instance.points, rng.permutation(truth), instance.sd)
    yield Instance("all alike", instance.points, np.full(len(truth), truth[0]), instance.sd)
    truth[1] = truth[0]
    yield Instance("two alike", instance.points, rng.permutation(truth), instance.sd)


def replay(instance: Instance, race: Race, budget: int, repeat: int) -> Replay:
    """One race on one thread, one run at a time, until it is decided or the budget is spent."""
    threadpool_limits(1)
    rng = np.random.default_rng(repeat)
    runs: dict[int, list[float]] = {}
    spent = 0
    while spent < budget and (candidate := race.next_candidate(instance.points, runs, ())) is not None:
        runs.setdefault(candidate, []).append(float(instance.truth[candidate] + rng.normal(0, instance.sd)))
        spent += 1
    end = race.state(instance.points, runs)
    assert end.leader is not None
    right = bool(instance.right(np.array(end.leader)))
    regret = float(instance.truth.max() - instance.truth[end.leader])
    return Replay(instance.name, repeat, spent, len(runs), end.decided, right, regret, end.confidence, end.sd)


def share(values: pd.Series) -> str:
    """A rate in percent, ± its Monte-Carlo standard error."""
    if not len(values):
        return "      none"
    rate = values.mean()
    return f"{100 * rate:5.1f} ±{100 * math.sqrt(rate * (1 - rate) / len(values)):4.1f}"


def told(replays: pd.DataFrame) -> str:
    declared = replays[replays["declared"]]
    wrong = replays["declared"] & ~replays["right"]
    return (
        f"{share(replays['right'])}{replays['runs'].mean():9.1f}{replays['runs'].max():6}"
        f"{100 * replays['declared'].mean():10.1f}     {share(declared['right'])}{100 * wrong.mean():8.1f}"
    )


def line(instance: Instance, replays: pd.DataFrame, budget: int) -> str:
    rng = np.random.default_rng(0)
    shares = [instance.exhaustive(np.array(seeds), rng) for seeds in (1, 5)] + [instance.uniform(budget, rng)]
    cells = "".join(f"{100 * rate:9.1f}" for rate in shares)
    return f"{instance.name:12}{instance.gap:8.3f}{cells}{told(replays)}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--fixed", help="values of the columns after the first four, such as 0,2")
    parser.add_argument("--repeats", type=positive, default=200)
    parser.add_argument("--runs", type=positive, default=120)
    parser.add_argument("--confidence", type=confidence, default=0.95)
    parser.add_argument("--workers", type=positive, default=os.cpu_count(), help="races that run side by side")
    parser.add_argument("--out", type=Path, help="folder for the repeats, as Parquet")
    args = parser.parse_args(argv)
    try:
        chosen = selected(Table.read(args.table), args.fixed)
    except (OSError, ValueError) as error:
        print(f"{args.table}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    sizes = ", ".join(sorted({str(len(each.truth)) for each in chosen}))
    print(f"{sizes} candidates, at most {args.runs} runs, {args.repeats} repeats, sd between seeds {chosen[0].sd:.3f}")
    print(f"rates in percent, ± Monte-Carlo standard error\n\n{HEAD}")
    every = []
    with ProcessPoolExecutor(args.workers) as pool:
        for instance in [*chosen, *controls(chosen[0], np.random.default_rng(0))]:
            work = partial(replay, instance, Race(args.confidence), args.runs)
            rows = pd.DataFrame(map(asdict, pool.map(work, range(args.repeats))))
            print(line(instance, rows, args.runs), flush=True)
            every.append(rows)
            if len(every) == len(chosen) > 1:
                print(f"{'all of these':47}{told(pd.concat(every))}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        pd.concat(every).to_parquet(args.out / "replay_race.parquet", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
