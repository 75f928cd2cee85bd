"""How good is what a sampler recommends after so many trials, compared with other search methods?

`python -m benchmarks.search_efficiency --table FILE.parquet [--repeats 30] [--sampler gp ...] [--out DIR]`, minutes on
four cores. With --race 0.95 it replays races on the table (benchmarks.replay_race); on a table of learning curves it
replays rungs (benchmarks.replay_rungs). Otherwise the table holds one architecture a row: its levels in x0, x1, ... and
its final top-1 in percent in top1_seed0, ... An evaluation is the top-1 of a random seed.

Regret is the mean over seeds of the best row less that of another row: the recommended one, the one with the best value
so far (which may be luck), or the best that was visited (which nobody knows).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import schedulers.samplers.gp_kernel  # noqa: F401  imported before the clock starts
from benchmarks import replay_race, replay_rungs
from benchmarks.plain import PLAIN
from benchmarks.tabular import Table, confidence, positive
from results.report.figure_style import COLOURS, WIDTH, files, styled
from schedulers.encoded_space import Observation
from schedulers.samplers.registry import SAMPLERS, make_sampler

REPEATS = 30
COUNTS = (10, 20, 30, 50, 100, 150)
RUNS = Path("results/runs/search_efficiency")


class Run:
    """One repeat of one method: what it evaluated, what it recommended, and how long each proposal took."""

    def __init__(self, table: Table, repeat: int) -> None:
        self.table = table
        self.rng = np.random.default_rng(repeat)
        self.rows: list[int] = []
        self.values: list[float] = []
        self.recommended: list[int] = []
        self.seconds: list[float] = []
        self._since = time.perf_counter()

    def evaluate(self, row: int) -> float:
        """Top-1 of a random seed of the row. The time since the last evaluation counts as the proposal's."""
        self.seconds.append(time.perf_counter() - self._since)
        self.rows.append(row)
        self.values.append(self.table.draw(row, self.rng))
        self._since = time.perf_counter()
        return self.values[-1]

    def recommend(self, row: int) -> None:
        """The time that a recommendation takes counts as the next proposal's, because that finds the model fitted."""
        self.recommended.append(row)

    def frame(self) -> pd.DataFrame:
        """One row for each number of evaluations."""
        means = self.table.means()
        leaders = np.maximum.accumulate(self.values)
        observed = [self.rows[self.values.index(value)] for value in leaders]
        return pd.DataFrame(
            {
                "evaluations": np.arange(1, len(self.rows) + 1),
                "regret": means.max() - means[self.recommended or observed],
                "observed_regret": means.max() - means[observed],
                "visited_regret": means.max() - np.maximum.accumulate(means[self.rows]),
                "seconds": self.seconds,
            }
        )


def run_our_sampler(name: str, run: Run, evaluations: int, seed: int) -> None:
    """Let one of our samplers propose, evaluate and recommend."""
    space = run.table.space
    sampler = make_sampler(name, seed)
    observations: list[Observation] = []
    for _ in range(evaluations):
        row = sampler.propose(space, observations)
        assert row is not None
        observations.append(Observation(index=row, value=run.evaluate(row)))
        run.recommend(sampler.recommend(space, observations))


def run_one(table: Table, evaluations: int, task: tuple[str, int]) -> pd.DataFrame:
    """One repeat of one method on one thread, because several repeats run side by side."""
    method, repeat = task
    run = Run(table, repeat)
    with threadpool_limits(1):
        if method in SAMPLERS:
            run_our_sampler(method, run, evaluations, repeat)
        else:
            PLAIN[method](table, run.evaluate, evaluations, repeat)
    return run.frame().assign(method=method, repeat=repeat)


def measure(table: Table, methods: Sequence[str], repeats: range, evaluations: int, workers: int) -> pd.DataFrame:
    """Every repeat of every method: a row for each number of evaluations."""
    tasks = list(product(methods, repeats))
    with ProcessPoolExecutor(workers) as pool:
        frames = list(pool.map(partial(run_one, table, evaluations), tasks))
    columns = ["method", "repeat", "evaluations", "regret", "observed_regret", "visited_regret", "seconds"]
    return pd.concat(frames, ignore_index=True)[columns]


def summary(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean and standard error over the repeats, by method and number of evaluations."""
    return runs.groupby(["method", "evaluations"], sort=False)[column].agg(["mean", "sem"]).fillna(0.0)


def block(runs: pd.DataFrame, column: str, counts: Sequence[int], title: str) -> str:
    """A printed table with one line a method and one column a number of evaluations."""
    cells = summary(runs, column)
    lines = [f"{title:24}" + "".join(f"{count:>15}" for count in counts)]
    for method in runs["method"].unique():
        figures = (cells.loc[(method, count)] for count in counts)
        lines.append(f"  {method:22}" + "".join(f"{cell['mean']:8.3f} ±{cell['sem']:5.3f}" for cell in figures))
    return "\n".join(lines)


def report(runs: pd.DataFrame, counts: Sequence[int]) -> str:
    """Everything that is printed after the runs."""
    ours = runs[runs["method"].isin(SAMPLERS)]
    times = runs.groupby("method", sort=False)["seconds"].agg(["mean", "max"]) * 1000
    time_lines = ["ms a proposal, mean and largest"]
    for method, row in times.iterrows():
        time_lines.append(f"  {method:22}{row['mean']:15.1f}{row['max']:15.1f}")
    blocks = [
        block(runs, "regret", counts, "recommended"),
        block(ours, "observed_regret", counts, "best value, ours"),
        block(runs, "visited_regret", counts, "best visited"),
        "\n".join(time_lines),
    ]
    return "\n\n".join(blocks)


@styled
def draw(runs: pd.DataFrame, title: str) -> Figure:
    """Mean regret of the recommendations, with a band of ± one standard error."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.4), layout="constrained")
    cells = summary(runs, "regret")
    for method, colour in zip(runs["method"].unique(), COLOURS, strict=False):
        line = cells.loc[method]
        line = line[line["mean"] > 0]  # a logarithmic axis has no zero
        axes.plot(line.index, line["mean"], color=colour, label=method)
        low = np.maximum(line["mean"] - line["sem"], line["mean"] / 10)
        axes.fill_between(line.index, low, line["mean"] + line["sem"], color=colour, alpha=0.15, lw=0)
    scale = "log" if (cells["mean"] > 0).any() else "linear"
    axes.set(yscale=scale, xlabel="evaluations", ylabel="regret (points of top-1)", title=title)
    axes.legend(frameon=False)
    return figure


def other_replay(args: argparse.Namespace) -> int | None:
    """The exit code of the replay of races or rungs, if that is what is asked for; otherwise None."""
    passed = ["--table", str(args.table)]
    if args.out:
        passed += ["--out", str(args.out)]
    if args.repeats:
        passed += ["--repeats", str(args.repeats)]
    if args.race is not None:
        if args.fixed:
            passed += ["--fixed", args.fixed]
        return replay_race.main([*passed, "--confidence", str(args.race), "--workers", str(args.workers)])
    if args.table.is_file() and "epoch" in pq.read_schema(args.table).names:
        return replay_rungs.main([*passed, "--processes", str(args.workers)])
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--repeats", type=positive, help="(30; races 200, rungs 100)")
    parser.add_argument("--sampler", nargs="+", default=["gp"], choices=SAMPLERS, help="our samplers to measure")
    parser.add_argument("--first", type=int, default=0, help="seed of the first repeat")
    parser.add_argument("--race", type=confidence, metavar="P", help="replay races at this confidence instead")
    parser.add_argument("--fixed", help="for races: values of the columns after the first four, such as 0,2")
    parser.add_argument("--ordinal", nargs="+", default=[], metavar="AXIS", help="axes whose levels have an order")
    parser.add_argument("--workers", type=positive, default=os.cpu_count(), help="repeats that run side by side")
    parser.add_argument("--out", type=Path, help=f"folder for every repeat and the figure [{RUNS}/TABLE]")
    args = parser.parse_args()
    try:
        code = other_replay(args)
        if code is not None:
            return code
        table = Table.read(args.table, tuple(args.ordinal))
    except (OSError, ValueError) as error:
        print(f"{args.table}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    repeats = args.repeats or REPEATS
    evaluations = min(COUNTS[-1], len(table.space))
    counts = [count for count in COUNTS if count <= evaluations] or [evaluations]
    print(f"{len(table.space):,} architectures, best {table.means().max():.3f}; mean ± error of {repeats} repeats\n")
    runs = measure(table, [*args.sampler, *PLAIN], range(args.first, args.first + repeats), evaluations, args.workers)
    print(report(runs, counts))
    out = args.out or RUNS / args.table.stem
    out.mkdir(parents=True, exist_ok=True)
    runs.to_parquet(out / "search_efficiency.parquet")
    for suffix, content in files(draw(runs, args.table.stem)).items():
        (out / f"search_efficiency.{suffix}").write_bytes(content)
    print(f"\n{out}/search_efficiency.parquet, .svg, .png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
