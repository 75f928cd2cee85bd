"""How many epochs does futility stopping save, and how often does it stop a row that would have won or tied?

`python -m benchmarks.futility [--studies 60] [--out DIR]` takes about two minutes on one core. Each study draws seven
candidates of a set of curves, calls the first one the baseline, and plays the product's own search over them, seven
trials at a time. Rungs lie where the recipe `ablation` has them, in proportion to the epochs of the curves. A row would
have won or tied if it ends at most the margin below its baseline; the end is the mean over all seeds that the set has.

- `placements`: 64 placements on CIFAR-10, one seed (`curves_cifar10.parquet`, see replay_rungs).
- `mlp`, `mlp cosine`, `plateaus`, `convnets`: small networks, five seeds (see make_futility_curves).
- `fashion`: perceptrons of several depths and widths, three seeds, made after the constants had been chosen.
- `simulated`: shaped like ImageNet at epochs 1 to 160, with the final differences of the paper's Table 5, a standard
  deviation of .1 points between seeds, and early differences that are larger than the final ones, or opposite.

The constants of schedulers/forecast.py and futility.py were tuned on the first four and on other draws of `simulated`.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.tabular import positive
from results.statistics.significance import MARGIN
from schedulers.encoded_space import CandidatePool, EncodedSpace
from schedulers.futility import Futility
from schedulers.rung_search import RungSearch
from schedulers.rungs import Asha
from schedulers.samplers.registry import make_sampler
from schedulers.search import Job, TrialName, TrialState
from trainers.recipes import ABLATION

ROWS = 7  # of a study, the baseline included, as in Table 5
SEEDS = (1, 3, 5)
TABLE5 = (0.0, -0.6, -0.9, 0.2, -0.2, -0.9)  # differences to the baseline in points

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """The curves of one study, the baseline first."""

    curves: Floats  # (rows, seeds, epochs), percent
    ends: Floats  # (rows,) true top-1 at the end, in percent


@dataclass(frozen=True)
class CurveSet:
    """A kind of curves. `draw` makes a study; no rung compares the first `start` epochs."""

    draw: Callable[[np.random.Generator], Study]
    seeds: int
    epochs: int
    start: int = 0

    def rungs(self) -> list[int]:
        """The rungs of `ablation`, in proportion."""
        scale = (self.epochs - self.start) / (ABLATION.budget - ABLATION.rung_start)
        return [self.start + round((rung - ABLATION.rung_start) * scale) for rung in ABLATION.rungs]


def draw_recorded(curves: Floats, rng: np.random.Generator) -> Study:
    """Seven of the recorded candidates (candidates, seeds, epochs), their seeds in a random order."""
    chosen = curves[rng.choice(len(curves), ROWS, replace=False)]
    return Study(rng.permuted(chosen, axis=1), chosen[:, :, -1].mean(axis=1))


def simulate(rng: np.random.Generator, *, epochs: int = 160, warmup: int = 20, seeds: int = 5) -> Study:
    """Seven rows whose final differences are drawn from Table 5.

    Early a difference is one to three times the final one, plus a difference that fades as the baseline rises; that has
    a standard deviation of 15 % of the gain still to come, two points after the warm-up.
    """
    epoch = np.arange(1, epochs + 1)
    end = 77.6
    rising = end - 7.6 * np.log(epochs / epoch)
    baseline = np.where(epoch <= warmup, rising[warmup] * epoch / warmup, rising)
    to_come = np.clip((end - baseline) / (end - baseline[warmup + 10]), 0, 3)
    final = np.array([0.0, *rng.choice(TABLE5, ROWS - 1)])[:, None, None]
    growth = rng.uniform(0, 2, (ROWS, 1, 1))
    fading = rng.normal(0, 0.15 * (end - baseline[warmup + 10]), (ROWS, 1, 1))
    seed_noise = rng.normal(0, 0.1, (ROWS, seeds, 1)) * (1 + to_come)
    epoch_noise = rng.normal(0, 1, (ROWS, seeds, epochs)) * (0.1 + 0.25 * to_come)
    curves = baseline + final * (1 + growth * to_come) + fading * to_come + seed_noise + epoch_noise
    return Study(curves, end + final[:, 0, 0])


def read_sets(folder: Path) -> dict[str, CurveSet]:
    """All sets by name, from the files beside this one."""
    placements = pd.read_parquet(folder / "curves_cifar10.parquet").assign(set="placements", seed=0)
    trained = pd.read_parquet(folder / "curves_futility.parquet")
    sets = {}
    for name, table in pd.concat([placements, trained]).groupby("set", sort=False):
        wide = table.pivot(index=["trial", "seed"], columns="epoch", values="top1")
        seeds = table["seed"].nunique()
        curves = wide.to_numpy(dtype=np.float64).reshape(-1, seeds, wide.shape[1])
        start = 2 if name == "placements" else 0
        sets[str(name)] = CurveSet(partial(draw_recorded, curves), seeds, curves.shape[2], start)
    sets["simulated"] = CurveSet(simulate, seeds=5, epochs=ABLATION.budget, start=ABLATION.rung_start)
    return sets


def make_search(curve_set: CurveSet, seeds: int) -> RungSearch:
    """The search of a study whose rows "1" to "6" are judged against the baseline "0"."""
    rows = [str(row) for row in range(ROWS)]
    rungs = curve_set.rungs()
    futility = Futility(
        baselines=dict.fromkeys(rows[1:], "0"),
        rungs=rungs,
        start=curve_set.start,
        budget=curve_set.epochs,
        margin=MARGIN,
    )
    return RungSearch(
        pool=CandidatePool([], EncodedSpace(np.empty((0, 0), dtype=np.int64), ())),
        sampler=make_sampler("grid", 0),
        rungs=Asha((*rungs, curve_set.epochs)),
        required=rows,
        proposals=0,
        seeds=seeds,
        exempt={"0"},
        futility=futility,
    )


def play(search: RungSearch, curves: Floats, workers: int) -> dict[TrialName, TrialState]:
    """The trials at the end of the search, so many at a time; every epoch takes the same time."""
    trials: dict[TrialName, TrialState] = {}
    active: dict[TrialName, Job] = {}
    ends: list[tuple[int, int, TrialName]] = []  # time, number of the job, trial

    def progress() -> None:
        """Show the epochs that the active trials have completed by now."""
        for end, _, name in ends:
            epochs = active[name].until - (end - now)
            trials[name] = TrialState(top1=tuple(curves[int(name.candidate), name.seed, :epochs].tolist()))

    now = 0
    number = 0
    while True:
        job = None
        if len(active) < workers:
            progress()
            for name in search.stops(trials):
                trials[name] = TrialState(status="stopped", top1=trials[name].top1)
            job = search.next_job(trials, active)
        if job is not None:
            trained = trials[job.name].top1 if job.name in trials else ()
            trials[job.name] = TrialState(top1=trained)
            active[job.name] = job
            number += 1
            heapq.heappush(ends, (now + job.until - len(trained), number, job.name))
            continue
        if not ends:
            return trials
        now, _, name = heapq.heappop(ends)
        until = active.pop(name).until
        top1 = tuple(curves[int(name.candidate), name.seed, :until].tolist())
        trials[name] = TrialState(status="done" if until == curves.shape[2] else "paused", top1=top1)


def replay(curve_set: CurveSet, seeds: int, studies: int) -> Iterator[tuple[bool, bool, float]]:
    """For each row: whether it would have won or tied, whether it was stopped, and the share of its epochs saved."""
    rng = np.random.default_rng(1)
    for _ in range(studies):
        study = curve_set.draw(rng)
        trials = play(make_search(curve_set, seeds), study.curves, workers=ROWS)
        for row in range(1, ROWS):
            mine = [trial for name, trial in trials.items() if name.candidate == str(row)]
            epochs = sum(len(trial.top1) for trial in mine)
            was_stopped = any(trial.status == "stopped" for trial in mine)
            is_no_loss = bool(study.ends[row] - study.ends[0] >= -MARGIN)
            yield is_no_loss, was_stopped, 1 - epochs / (seeds * curve_set.epochs)


def summary(name: str, curve_set: CurveSet, seeds: int, studies: int) -> dict[str, str | int | float]:
    """A line of the table; rates in percent."""
    rows = pd.DataFrame(replay(curve_set, seeds, studies), columns=["no_loss", "stopped", "saved"])
    no_loss = rows[rows["no_loss"]]
    losses = rows[~rows["no_loss"]]
    wrong = int(no_loss["stopped"].sum())
    interval = stats.binomtest(wrong, len(no_loss)).proportion_ci(method="wilson")
    return {
        "set": name,
        "seeds": seeds,
        "won_or_tied": len(no_loss),
        "wrongly_stopped": wrong,
        "rate": 100 * wrong / len(no_loss),
        "low": 100 * interval.low,
        "high": 100 * interval.high,
        "losses": len(losses),
        "losses_stopped": 100 * losses["stopped"].mean(),
        "epochs_saved": 100 * rows["saved"].mean(),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=positive, default=60, help="of seven rows, for each line")
    parser.add_argument("--out", type=Path, help="folder for the table, as Parquet")
    args = parser.parse_args(argv)
    print(f"{args.studies} studies a line; rates in percent, [95 % Wilson interval]; margin {MARGIN:g} points\n")
    print("                       rows that win or tie                    rows that lose  epochs of")
    print("set         seeds    number  of them stopped                   number stopped  rows saved")
    lines = []
    for name, curve_set in read_sets(Path(__file__).parent).items():
        for seeds in SEEDS:
            if seeds <= curve_set.seeds:
                lines.append(summary(name, curve_set, seeds, args.studies))
                print(_text(lines[-1]), flush=True)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(lines).to_parquet(args.out / "futility.parquet", index=False)
    return 0


def _text(line: dict[str, str | int | float]) -> str:
    wrong = f"{line['wrongly_stopped']:4} = {line['rate']:4.1f} [{line['low']:3.1f}, {line['high']:3.1f}]"
    return (
        f"{line['set']:12}{line['seeds']:5}{line['won_or_tied']:10}  {wrong:30}"
        f"{line['losses']:10}{line['losses_stopped']:8.0f}{line['epochs_saved']:12.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
