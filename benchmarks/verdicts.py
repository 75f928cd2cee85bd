"""How often are the verdicts of results/statistics/comparison.py wrong, and how often do they find a real difference?

`python -m benchmarks.verdicts --table FILE.parquet [--repeats 2000]` takes a quarter of an hour on one core. The table
has one architecture per row, with final top-1 in percent in the columns top1_seed0 to top1_seed2. A row and its
baseline are drawn from the same architecture, so that no difference is real; then a difference is planted that
Student's test should find in 50 or 80 % of cases.

Beside the verdict the output shows Student's, Welch's and the permutation test, each alone and at 5 %, and how often
the 95 % interval contains the true difference.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from results.statistics.comparison import Comparison, compare
from results.statistics.power import pooled_sd, power
from results.statistics.significance import ALPHA

SEEDS = (3, 4, 5, 10)
ROWS = 6  # of Table 5, beside its baseline
RATIOS = (2, 10)  # of standard deviations

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Architectures with three seeds each, top-1 in percent, and the sd over seeds that they share."""

    top1: Floats  # (architectures, 3)
    sd: float

    @classmethod
    def trained(cls, table: pd.DataFrame) -> Source:
        """The better half by mean top-1: in the other half some seeds never trained."""
        top1 = table.filter(regex="^top1_seed").dropna().to_numpy()
        means = top1.mean(axis=1)
        better = top1[means >= np.median(means)]
        return cls(better, pooled_sd(better))

    def draw(self, rng: np.random.Generator, arms: int, seeds: int) -> Floats:
        """(arms, seeds) from one architecture: each value one of its three plus Gaussian noise of the measured sd."""
        values = self.top1[rng.integers(len(self.top1))]
        return rng.choice(values, (arms, seeds)) + rng.normal(0, self.sd, (arms, seeds))

    def drawn_sds(self) -> Floats:
        """True sd of one drawn value, by architecture: the spread of its three values and the noise added to them."""
        return np.sqrt(self.top1.var(axis=1) + self.sd**2)


def theory(source: Source, delta: float, seeds: int) -> float:
    """Power of Student's test for `delta` points, averaged over the architectures that are drawn from."""
    # 99 quantiles of their sds stand for the thousands: the same power to .1 points, in seconds.
    sds = np.quantile(source.drawn_sds(), np.linspace(0.005, 0.995, 99))
    return float(np.mean([power(delta / sd, seeds) for sd in sds]))


def planted(source: Source, target: float, seeds: int) -> float:
    """The difference in points at which theory's power is `target`."""
    sd = float(source.drawn_sds().max())
    return float(optimize.brentq(lambda delta: theory(source, delta, seeds) - target, 1e-3 * sd, 10 * sd))


def pairs(source: Source, seeds: int, delta: float, repeats: int) -> list[Comparison]:
    """Tables of one row and its baseline, the row `delta` points better."""
    rng = np.random.default_rng(seeds)
    drawn = (source.draw(rng, 2, seeds) for _ in range(repeats))
    return [compare({"row": row + delta, "base": base}, {"row": "base"})["row"] for row, base in drawn]


def false_tables(source: Source, seeds: int, repeats: int) -> float:
    """Share of tables of ROWS rows and one baseline, all alike, in which any row wins or loses."""
    rng = np.random.default_rng(seeds)
    baselines = {str(row): "0" for row in range(1, ROWS + 1)}
    wrong = 0
    for _ in range(repeats):
        arms = source.draw(rng, ROWS + 1, seeds)
        table = compare({str(row): values for row, values in enumerate(arms)}, baselines)
        wrong += any(row.verdict in ("win", "loss") for row in table.values())
    return wrong / repeats


def unequal_spreads(ratio: float, seeds: int, repeats: int) -> float:
    """Share of wins and losses between normal arms of one mean whose standard deviations differ by `ratio`."""
    draws = np.random.default_rng(seeds).normal(0, 0.1, (repeats, 2, seeds))
    tables = ({"row": 90 + ratio * row, "base": 90 + base} for row, base in draws)
    wrong = (compare(table, {"row": "base"})["row"].verdict in ("win", "loss") for table in tables)
    return sum(wrong) / repeats


def rates(comparisons: list[Comparison], delta: float) -> dict[str, float]:
    """Shares: verdicts of a difference, those that single tests would have given, intervals that hold the truth."""
    right = ("win",) if delta else ("win", "loss")
    tests = {"Student": "p_student", "Welch": "p_welch", "permut.": "p_permutation"}
    rows = pd.DataFrame([vars(comparison) for comparison in comparisons])
    seen = (rows["difference"] > 0) | (not delta)
    return {
        "verdict": rows["verdict"].isin(right).mean(),
        **{name: ((rows[p] <= ALPHA) & seen).mean() for name, p in tests.items()},
        "covers": ((rows["low"] <= delta) & (delta <= rows["high"])).mean(),
    }


def error(rate: float, repeats: int) -> float:
    """Monte-Carlo standard error of a rate."""
    return math.sqrt(rate * (1 - rate) / repeats)


def line(source: Source, target: float, seeds: int, repeats: int) -> str:
    delta = planted(source, target, seeds) if target > ALPHA else 0.0
    found = rates(pairs(source, seeds, delta, repeats), delta)
    verdict, *others = (100 * rate for rate in found.values())
    theirs = "".join(f"{rate:9.1f}" for rate in others)
    se = 100 * error(found["verdict"], repeats)
    return f"{seeds:5}{delta:8.3f}{100 * target:8.1f}{verdict:9.1f} ±{se:4.1f}{verdict - 100 * target:+7.1f}{theirs}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=2000)
    args = parser.parse_args()
    source = Source.trained(pd.read_parquet(args.table))
    one = math.sqrt((source.drawn_sds() ** 2).mean())
    print(f"{len(source.top1):,} architectures, sd over seeds {source.sd:.3f} points, of a drawn value {one:.3f}")
    print(f"{args.repeats:,} repeats; rates in percent, ± their Monte-Carlo standard error\n")
    print("seeds   delta  theory      verdict    gap  Student    Welch  permut.   covers")
    for target in (ALPHA, 0.5, 0.8):
        for seeds in SEEDS:
            print(line(source, target, seeds, args.repeats), flush=True)
    print(f"\ntables of {ROWS} rows and a baseline, all alike: any win or loss")
    for seeds in SEEDS:
        rate = false_tables(source, seeds, args.repeats)
        print(f"{seeds:5}{100 * rate:25.1f} ±{100 * error(rate, args.repeats):4.1f}", flush=True)
    print("\nnormal arms of one mean, one's standard deviation a multiple of the other's: any win or loss")
    for ratio in RATIOS:
        for seeds in SEEDS:
            rate = unequal_spreads(ratio, seeds, args.repeats)
            print(f"{seeds:5}{ratio:7}x{100 * rate:17.1f} ±{100 * error(rate, args.repeats):4.1f}", flush=True)


if __name__ == "__main__":
    main()
