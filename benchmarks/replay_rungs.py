"""How many epochs does a search spend until it has trained one of the best trials? Our promotions against Ray's ASHA.

`python -m benchmarks.replay_rungs [--table FILE.parquet] [--repeats 100] [--out DIR]` takes some minutes on four cores.
The file holds learning curves in the columns trial, epoch and top1 (percent), with equally many epochs of every trial.
The default are curves of placements on CIFAR-10, which lie beside this file. Trials arrive in a random order that all
rules share. A trial counts as found when it was trained to its last epoch and ended within the tolerance of the best.

Our searches have an unlimited budget, so after the promotions they resume paused trials, best first. Ray's search ends
when every trial was stopped or trained to its end (`missed`: without having found a good one). Then the trials that it
stopped are trained from the start in their order of arrival, because nothing else is left to do.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.tabular import positive
from schedulers.budget import Budget, BudgetAccount
from schedulers.encoded_space import CandidatePool, EncodedSpace
from schedulers.rung_search import RungSearch
from schedulers.rungs import RULES, Rungs
from schedulers.samplers.registry import make_sampler
from schedulers.search import Job, TrialName, TrialState, TrialStatus

CURVES = Path(__file__).with_name("curves_cifar10.parquet")
FACTOR = 3  # one trial in so many passes a rung, in our search and in Ray's
RAY_DEFAULT_FACTOR = 4

Curves = NDArray[np.float64]  # (trials, epochs), percent
END = -1  # stands for no trial: Ray's search is over
Finished = Iterator[tuple[int, int]]  # total epochs spent so far, and the trial that was trained to its end


def read(file: Path) -> Curves:
    """The curves of a file. Raises ValueError or OSError with what is wrong with it."""
    if not file.is_file():
        raise FileNotFoundError("no such file")
    table = pd.read_parquet(file)
    missing = {"trial", "epoch", "top1"} - set(table)
    if missing:
        raise ValueError(f"no column {', '.join(sorted(missing))}; expected trial, epoch and top1")
    if not np.isfinite(pd.to_numeric(table["top1"], errors="coerce")).all():
        raise ValueError("top1 holds what is no number, expected percent")
    if table.duplicated(["trial", "epoch"]).any():
        raise ValueError("some epochs of a trial occur twice, expected one row each")
    curves = table.pivot(index="trial", columns="epoch", values="top1")
    if curves.isna().any(axis=None) or curves.shape[1] < 2:
        raise ValueError(f"{len(curves)} trials of unequal length, expected the same epochs of all, 2 or more")
    return curves.to_numpy()


def levels(epochs: int) -> tuple[int, ...]:
    """Rungs at 1, 3, 9 ... epochs, and the last epoch."""
    rungs = [FACTOR**power for power in range(20) if FACTOR**power < epochs]
    return (*rungs, epochs)


def our_search(curves: Curves, order: list[int], workers: int, *, rule: type[Rungs]) -> Finished:
    """The product's own search over trials that arrive in this order; all active trials run one epoch in turn."""
    epochs = curves.shape[1]
    space = EncodedSpace(np.arange(len(order))[:, None], (False,))
    search = RungSearch(
        pool=CandidatePool([str(trial) for trial in order], space),
        sampler=make_sampler("grid", 0),
        rungs=rule(levels(epochs), FACTOR),
        required=[],
        proposals=len(order),
        seeds=1,
        exempt=(),
        account=BudgetAccount(Budget(math.inf, "epochs")),
    )
    trials: dict[TrialName, TrialState] = {}
    active_jobs: dict[TrialName, Job] = {}
    spent = 0
    while True:
        _start_jobs(search, trials, active_jobs, workers)
        if not active_jobs:
            return
        for name, job in list(active_jobs.items()):
            trial = int(name.candidate)
            epoch = len(trials[name].top1) + 1
            spent += 1
            status: TrialStatus = "running"
            if epoch == job.until:
                status = "done" if epoch == epochs else "paused"
                del active_jobs[name]
            trials[name] = TrialState(status=status, top1=tuple(curves[trial, :epoch]))
            if status == "done":
                yield spent, trial


def _start_jobs(
    search: RungSearch, trials: dict[TrialName, TrialState], active_jobs: dict[TrialName, Job], workers: int
) -> None:
    """Give every idle worker a job, as long as the search has one."""
    while len(active_jobs) < workers:
        job = search.next_job(trials, active_jobs)
        if job is None:
            return
        active_jobs[job.name] = job
        top1 = trials[job.name].top1 if job.name in trials else ()
        trials[job.name] = TrialState(top1=top1)


def ray_search(curves: Curves, order: list[int], workers: int, factor: int = FACTOR) -> Finished:
    """Ray Tune's ASHAScheduler, which stops trials and never promotes."""
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    epochs = curves.shape[1]
    asha = ASHAScheduler("epoch", "top1", "max", max_t=epochs, grace_period=1, reduction_factor=factor)
    queue = list(order)
    active: dict[int, int] = {}  # epochs by trial
    stopped: list[int] = []
    spent = 0
    while queue or active:
        while queue and len(active) < workers:
            trial = queue.pop(0)
            active[trial] = 0
            asha.on_trial_add(None, SimpleNamespace(trial_id=trial))
        for trial in list(active):
            active[trial] += 1
            spent += 1
            epoch = active[trial]
            result = {"epoch": epoch, "top1": curves[trial, epoch - 1]}
            decision = asha.on_trial_result(None, SimpleNamespace(trial_id=trial), result)
            if epoch == epochs:
                yield spent, trial
                del active[trial]
            elif decision == TrialScheduler.STOP:
                stopped.append(trial)
                del active[trial]
    yield spent, END
    for number, trial in enumerate(sorted(stopped, key=order.index), 1):
        yield spent + number * epochs, trial


def train_everything(curves: Curves, order: list[int], workers: int) -> Finished:
    """Every trial to its end, in groups of as many as there are workers."""
    epochs = curves.shape[1]
    for begin in range(0, len(order), workers):
        group = order[begin : begin + workers]
        for trial in group:
            yield (begin + len(group)) * epochs, trial


def searches() -> dict[str, Callable[[Curves, list[int], int], Finished]]:
    """What is compared, by name. Ray's also with its own default factor, whose rungs are farther apart."""
    ours = {name: partial(our_search, rule=rule) for name, rule in RULES.items() if name != "none"}
    ray_default = partial(ray_search, factor=RAY_DEFAULT_FACTOR)
    return {
        "Ray's ASHA": ray_search,
        f"Ray's, 1/{RAY_DEFAULT_FACTOR}": ray_default,
        **ours,
        "everything": train_everything,
    }


def replay_one(curves: Curves, good: frozenset[int], repeat: int) -> list[dict]:
    """One order of arrival with every search and number of workers: the epochs until a good trial was found."""
    order = np.random.default_rng(repeat).permutation(len(curves)).tolist()
    rows = []
    for workers, (name, search) in product((1, 4), searches().items()):
        missed = False
        epochs = 0
        for spent, trial in search(curves, order, workers):
            missed |= trial == END
            if trial in good:
                epochs = spent
                break
        rows.append({"rule": name, "workers": workers, "repeat": repeat, "epochs": epochs, "missed": missed})
    return rows


def replay(curves: Curves, tolerance: float, repeats: int, processes: int) -> pd.DataFrame:
    """One row for each order, search and number of workers."""
    good = frozenset(np.flatnonzero(curves[:, -1] >= curves[:, -1].max() - tolerance).tolist())
    with ProcessPoolExecutor(processes) as pool:
        return pd.DataFrame(chain.from_iterable(pool.map(partial(replay_one, curves, good), range(repeats))))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Epochs by search and workers: mean, standard error, median, share missed, and how many times fewer than Ray's."""
    groups = rows.groupby(["workers", "rule"], sort=False)
    table = groups.agg(
        epochs=("epochs", "mean"), se=("epochs", "sem"), median=("epochs", "median"), missed=("missed", "mean")
    )
    for column in ("epochs", "median"):
        theirs = table[column].xs("Ray's ASHA", level="rule")
        table[f"{column}_ratio"] = theirs.reindex(table.index.get_level_values("workers")).to_numpy() / table[column]
    return table.reset_index()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=CURVES)
    parser.add_argument("--repeats", type=positive, default=100)
    parser.add_argument("--processes", type=positive, default=os.cpu_count())
    parser.add_argument("--tolerance", type=float, default=0.3, help="points of top-1")
    parser.add_argument("--out", type=Path, help="folder for the repeats, as Parquet")
    args = parser.parse_args(argv)
    try:
        curves = read(args.table)
    except (ValueError, OSError) as error:
        print(f"{args.table}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    number, epochs = curves.shape
    rungs = ", ".join(map(str, levels(epochs)[:-1]))
    good = int((curves[:, -1] >= curves[:, -1].max() - args.tolerance).sum())
    print(f"{number} trials of {epochs} epochs, {good} of them within {args.tolerance:g} points of the best; {rungs=}")
    print(f"{args.repeats} orders; ± Monte-Carlo standard error\n")
    rows = replay(curves, args.tolerance, args.repeats, args.processes)
    print("                         epochs to find           missed    x fewer than Ray's")
    print("workers  rule             mean          median       %       mean    median")
    for row in summary(rows).itertuples():
        cells = f"{row.epochs:9.0f} ±{row.se:4.0f}{row.median:12.0f}{100 * row.missed:9.0f}"
        print(f"{row.workers:7}  {row.rule:12}{cells}{row.epochs_ratio:11.2f}{row.median_ratio:10.2f}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(args.out / "replay_rungs.parquet", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
