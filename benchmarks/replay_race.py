"""How often does a race find the best of 81 candidates, in how many runs, and is it right when it says so?

`python -m benchmarks.replay_race --table FILE.parquet [--fixed 0,2] [--levels 0,1,2] [--repeats 200] [--out DIR]`

The table holds final top-1 in percent, an architecture a row: levels in x0..x5, top-1 in top1_seed0..2. The candidates
are all combinations of three levels in x0..x3; x4 and x5 are fixed. Which levels and which fixed values was not chosen
by what the race makes of them: the levels are the first three, and without --fixed every pair of fixed values is
replayed in turn. They differ much in how hard they are: `gap` is the lead of the best over the second in points,
`single` how often one seed of each picks the best. The line that counts is that of the pairs where `single` is right
about half of the time. A candidate's true top-1 is the mean of its seeds; a run adds normal noise of the pooled sd.

Beside the race: one seed of each (81 runs), five seeds of each (405), and the race's budget dealt out evenly. Then
three races on the candidates of the first pair: shuffled, so that the levels say nothing; all alike; and the two best
alike. In the last two every declaration is wrong. `wrong` is the share of all races that ended in a wrong declaration.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from results.evidence import pooled_sd
from schedulers.points import Points
from schedulers.racing import Race

VARIED = ("x0", "x1", "x2", "x3")
FIXED = ("x4", "x5")
CHEAP = 20_000  # repeats of what needs no race
HALF = (0.4, 0.6)  # share of right single seeds that is about one half
HEAD = "                 gap  single  5 seeds  uniform        race     runs   max  declared  of them right   wrong"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instance:
    """Candidates with their true top-1, and the sd between seeds."""

    name: str
    points: Points
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


def instances(table: pd.DataFrame, levels: tuple[int, ...], fixed: list[tuple[int, ...]]) -> Iterator[Instance]:
    """For each pair of fixed values, the candidates that the levels make of the varied columns."""
    seeds = table.filter(regex="^top1_seed")
    complete = seeds.dropna().to_numpy()
    means = complete.mean(axis=1)
    sd = pooled_sd(complete[means >= np.median(means)])  # the better half: in the other some seeds never trained
    truth = pd.Series(seeds.mean(axis=1).to_numpy(), index=pd.MultiIndex.from_frame(table[[*VARIED, *FIXED]]))
    chosen = list(product(levels, repeat=len(VARIED)))
    points = Points(np.array(chosen), (False,) * len(VARIED))
    for pair in fixed:
        rows = [(*candidate, *pair) for candidate in chosen]
        yield Instance(f"fixed {','.join(map(str, pair))}", points, truth.loc[rows].to_numpy(), sd)


def controls(instance: Instance, rng: np.random.Generator) -> Iterator[Instance]:
    """The same candidates in races that the levels do not help, or that nobody can win."""
    truth = np.sort(instance.truth)[::-1].copy()
    yield Instance("shuffled", instance.points, rng.permutation(truth), instance.sd)
    yield Instance("all alike", instance.points, np.full(len(truth), truth[0]), instance.sd)
    truth[1] = truth[0]
    yield Instance("two alike", instance.points, rng.permutation(truth), instance.sd)


def replay(instance: Instance, race: Race, budget: int, repeat: int) -> Replay:
    """One race, one run at a time, until it is decided or the budget is spent."""
    rng = np.random.default_rng(repeat)
    runs: dict[int, list[float]] = {}
    spent = 0
    while spent < budget and (candidate := race.next(instance.points, runs, ())) is not None:
        runs.setdefault(candidate, []).append(float(instance.truth[candidate] + rng.normal(0, instance.sd)))
        spent += 1
    end = race.standing(instance.points, runs)
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


def line(instance: Instance, replays: pd.DataFrame, budget: int) -> tuple[str, float]:
    rng = np.random.default_rng(0)
    one, five = (instance.exhaustive(np.array(seeds), rng) for seeds in (1, 5))
    beside = "".join(f"{100 * rate:9.1f}" for rate in (one, five, instance.uniform(budget, rng)))
    return f"{instance.name:13}{instance.gap:7.3f}{beside[1:]}  {told(replays)}", one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: tuple(int(part) for part in text.split(","))  # noqa: E731
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--levels", type=numbers, default=(0, 1, 2))
    parser.add_argument("--fixed", type=numbers, help="x4,x5; default: every pair in turn")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--out", type=Path, help="folder for the repeats, as Parquet")
    args = parser.parse_args()
    table = pd.read_parquet(args.table)
    fixed = [args.fixed] if args.fixed else list(product(sorted(table["x4"].unique()), repeat=2))
    race = Race(args.confidence)
    every, halves = [], []
    chosen = list(instances(table, args.levels, fixed))
    print(
        f"{args.repeats} repeats, sd between seeds {chosen[0].sd:.3f}; rates in percent, ± Monte-Carlo standard error"
    )
    print(HEAD)
    for instance in chosen:
        rows = [asdict(replay(instance, race, args.runs, repeat)) for repeat in range(args.repeats)]
        every.append(pd.DataFrame(rows))
        text, one = line(instance, every[-1], args.runs)
        print(text, flush=True)
        halves += [every[-1]] if HALF[0] <= one <= HALF[1] else []
    print(f"{'all of these':46}{told(pd.concat(every))}")
    if halves:
        print(f"{'where a single seed is right in 40 to 60 %':46}{told(pd.concat(halves))}")
    for instance in controls(chosen[0], np.random.default_rng(0)):
        rows = [asdict(replay(instance, race, args.runs, repeat)) for repeat in range(args.repeats)]
        every.append(pd.DataFrame(rows))
        print(line(instance, every[-1], args.runs)[0], flush=True)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        pd.concat(every).to_parquet(args.out / "replay_race.parquet", index=False)


if __name__ == "__main__":
    main()
