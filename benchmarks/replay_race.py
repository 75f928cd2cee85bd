"""How often does a race find the best of 81 candidates, with how many runs, and is it right when it declares a winner?

`python -m benchmarks.replay_race --table FILE.parquet [--fixed 0,2] [--repeats 200] [--out DIR]`, minutes on 4 cores.

The table holds final top-1 in percent, one architecture a row: levels in x0, x1, ..., top-1 in top1_seed0, ... The
candidates are all combinations of the first three levels of x0 to x3; the other columns have fixed values, on which it
depends by how many points the best leads (`gap`). Without --fixed those values are taken at which the best of one seed
of each candidate (`single`) is the best candidate in about half of all cases. Results of races play no part in this
choice. A candidate's true top-1 is the mean of its seeds; a run adds normal noise with the pooled standard deviation.

Beside the race are shown: one seed of each candidate (81 runs), five seeds of each (405), and the race's budget divided
evenly. Then follow three controls on the candidates of the first line: shuffled, so that the levels say nothing; all
alike; and the two best alike. In the last two every declaration is wrong. `wrong` is the share of all races that ended
in a wrong declaration.
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
from results.statistics.power import pooled_sd
from schedulers.encoded_space import EncodedSpace
from schedulers.racing import Race

HEAD = "fixed            gap   single  5 seeds  uniform        race     runs   max  declared  of them right   wrong"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instance:
    """Candidates to race: their true top-1, and the standard deviation between seeds."""

    name: str
    space: EncodedSpace
    truth: Floats  # (candidates,) percent
    sd: float

    @property
    def gap(self) -> float:
        """By how many points the best leads."""
        second, best = np.sort(self.truth)[-2:]
        return float(best - second)

    def right(self, candidates: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of these is the best candidate. If two tie, none is."""
        return (self.truth[candidates] == self.truth.max()) & (self.gap > 0)

    def exhaustive(self, seeds: NDArray[np.int64], rng: np.random.Generator, repeats: int = 20_000) -> float:
        """How often the candidate with the best mean over so many seeds (of each candidate) is the best."""
        shares = []
        for _ in range(repeats // 1000):
            noise = rng.normal(0, self.sd, (1000, len(self.truth)))
            means = self.truth + noise / np.sqrt(seeds)
            shares.append(self.right(means.argmax(axis=1)).mean())
        return float(np.mean(shares))

    def uniform(self, runs: int, rng: np.random.Generator) -> float:
        """The same for a budget that is divided evenly, averaged over who gets the odd seeds."""
        candidates = len(self.truth)
        seeds = np.full(candidates, runs // candidates)
        shares = []
        for _ in range(20):
            odd = rng.permutation(candidates)[: runs % candidates]
            has_odd_seed = np.isin(np.arange(candidates), odd)
            shares.append(self.exhaustive(seeds + has_odd_seed, rng))
        return float(np.mean(shares))


@dataclass(frozen=True)
class Replay:
    """How one race ended."""

    instance: str
    repeat: int
    runs: int
    candidates: int  # that were run
    declared: bool  # whether confidence ended it, not the budget
    right: bool
    regret: float  # by how many points the leader is below the best
    confidence: float
    sd: float


def instances(table: Table, varied: int = 4, levels: int = 3) -> Iterator[Instance]:
    """One for each combination of values of the other columns: all candidates of the first columns' first levels."""
    complete = table.top1[np.isfinite(table.top1).all(axis=1)]
    means = complete.mean(axis=1)
    better_half = complete[means >= np.median(means)]  # in the other half some seeds never trained
    sd = pooled_sd(better_half)
    varied_levels, fixed_levels = np.split(table.space.levels, [varied], axis=1)
    is_candidate = np.ones(len(varied_levels), dtype=bool)
    for column in varied_levels.T:
        is_candidate &= np.isin(column, np.unique(column)[:levels])
    for values in np.unique(fixed_levels, axis=0):
        rows = np.flatnonzero(is_candidate & (fixed_levels == values).all(axis=1))
        if len(rows) > 1:
            space = EncodedSpace(varied_levels[rows], (False,) * varied_levels.shape[1])
            yield Instance(",".join(map(str, values)), space, table.means()[rows], sd)


def selected(table: Table, fixed: str | None) -> list[Instance]:
    """The instance that was asked for, or those on which single seeds are right in 40 to 60 % of cases.

    If there is none such, the one that is nearest to 50 %. Raises ValueError if the table allows no race.
    """
    found = list(instances(table))
    if not found or not np.isfinite(found[0].sd):
        raise ValueError("no candidates, or no row with two seeds; want both, for the noise is measured on seeds")
    singles = {each.name: each.exhaustive(np.array(1), np.random.default_rng(0)) for each in found}
    if fixed is not None and fixed not in singles:
        raise ValueError(f"--fixed {fixed}, expected one of {' '.join(singles)}")
    if fixed is not None:
        return [each for each in found if each.name == fixed]
    about_half = [each for each in found if 0.4 <= singles[each.name] <= 0.6]
    return about_half or [min(found, key=lambda each: abs(singles[each.name] - 0.5))]


def controls(instance: Instance, rng: np.random.Generator) -> Iterator[Instance]:
    """The same candidates in races that the levels do not help, or that nobody can win."""
    truth = np.sort(instance.truth)[::-1].copy()
    yield Instance("shuffled", instance.space, rng.permutation(truth), instance.sd)
    yield Instance("all alike", instance.space, np.full(len(truth), truth[0]), instance.sd)
    truth[1] = truth[0]
    yield Instance("two alike", instance.space, rng.permutation(truth), instance.sd)


def replay(instance: Instance, race: Race, budget: int, repeat: int) -> Replay:
    """One race on one thread, one run at a time, until it is decided or the budget is spent."""
    threadpool_limits(1)
    rng = np.random.default_rng(repeat)
    runs: dict[int, list[float]] = {}
    spent = 0
    while spent < budget:
        candidate = race.next_candidate(instance.space, runs, ())
        if candidate is None:
            break
        top1 = float(instance.truth[candidate] + rng.normal(0, instance.sd))
        runs.setdefault(candidate, []).append(top1)
        spent += 1
    state = race.state(instance.space, runs)
    assert state.leader is not None
    return Replay(
        instance=instance.name,
        repeat=repeat,
        runs=spent,
        candidates=len(runs),
        declared=state.decided,
        right=bool(instance.right(np.array(state.leader))),
        regret=float(instance.truth.max() - instance.truth[state.leader]),
        confidence=state.confidence,
        sd=state.sd,
    )


def share(values: pd.Series) -> str:
    """A rate in percent, ± its Monte-Carlo standard error."""
    if not len(values):
        return "      none"
    rate = values.mean()
    return f"{100 * rate:5.1f} ±{100 * math.sqrt(rate * (1 - rate) / len(values)):4.1f}"


def race_cells(replays: pd.DataFrame) -> str:
    """The right part of a printed line: what the races came to."""
    declared = replays[replays["declared"]]
    wrong = replays["declared"] & ~replays["right"]
    runs = replays["runs"]
    cells = [
        f"{share(replays['right'])}{runs.mean():9.1f}{runs.max():6}",
        f"{100 * replays['declared'].mean():10.1f}     {share(declared['right'])}{100 * wrong.mean():8.1f}",
    ]
    return "".join(cells)


def line(instance: Instance, replays: pd.DataFrame, budget: int) -> str:
    """A printed line."""
    rng = np.random.default_rng(0)
    shares = [instance.exhaustive(np.array(seeds), rng) for seeds in (1, 5)]
    shares.append(instance.uniform(budget, rng))
    cells = "".join(f"{100 * rate:9.1f}" for rate in shares)
    return f"{instance.name:12}{instance.gap:8.3f}{cells}{race_cells(replays)}"


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
                print(f"{'all of these':47}{race_cells(pd.concat(every))}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        pd.concat(every).to_parquet(args.out / "replay_race.parquet", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
