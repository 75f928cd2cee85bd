"""Which token mixer belongs in which stage? `python orchestrate.py --space placement` trains the placements of Table 5
on scikit-learn's digits, stops weak ones early, and leaves every row in Parquet. Run it again to do what is missing."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchspace import own
from searchspace.candidate import Candidate
from searchspace.spaces import SPACES, SearchSpace
from trainers.recipes import RECIPES, Recipe

# --help and a wrong argument should not wait for Ray and torch, so the modules that need them are imported on use.
if TYPE_CHECKING:
    from cluster import Cluster
    from results.records import TrialRecord
    from results.store import Study
    from trainers.data import ImageData


@dataclass(frozen=True)
class Plan:
    """What one command line asks for."""

    space: SearchSpace
    recipe: Recipe
    data: ImageData
    candidates: list[Candidate]  # published first
    seeds: int
    study: Study

    def settings(self) -> dict[str, Any]:
        """What must not change within a study, and beside it under `report` what its rows are called."""
        rows = [
            {
                "table": row.table,
                "row": row.row,
                "heads": row.heads,
                "placement": row.candidate.placement,
                "baseline": row.baseline.placement,
            }
            for row in self.space.published_rows()
        ]
        return {
            "space": self.space.name,
            "space_file": own.fingerprint(),
            "backbone": self.space.backbone,
            "data": {"name": self.data.name, "fingerprint": self.data.fingerprint},
            "recipe": asdict(self.recipe),
            "budget": self.recipe.budget,
            "report": {"rows": rows, "baseline": self.space.baseline_candidate.placement},
        }

    def trials(self) -> list[TrialRecord]:
        """A fresh record for each trial asked for: every candidate with seed 0, then with seed 1 ..."""
        from results.records import TrialRecord

        published, fingerprint = set(self.space.published_candidates()), self.data.fingerprint
        shared = {
            "study": self.study.name,
            "space": self.space.name,
            "recipe": self.recipe.name,
            "recipe_fingerprint": self.recipe.fingerprint,
            "data": self.data.name,
            "data_fingerprint": fingerprint,
            "budget": self.recipe.budget,
            "commit": commit(),
        }
        return [
            TrialRecord(
                key=f"{candidate}--{self.recipe.name}-{self.recipe.fingerprint}-{fingerprint}--seed{seed}",
                candidate=str(candidate),
                backbone=candidate.backbone,
                placement=candidate.placement,
                published=candidate in published,
                seed=seed,
                **shared,
            )
            for seed in range(self.seeds)
            for candidate in self.candidates
        ]


def main(argv: list[str] | None = None) -> int:
    """0: every trial has its rows; 1: some have not; 2: wrong input; 4: the study is in use; 130, 143: interrupted."""
    args = parser().parse_args(argv)
    from results.store import StudyBusyError

    with ExitStack() as stack:
        try:
            plan = make_plan(args)
            if args.list:
                print_list(plan)
                return 0
            stack.enter_context(plan.study.owned())
            plan.study.begin(plan.settings())
            asked, pending = missing(plan)
            cluster = stack.enter_context(open_cluster(args)) if pending or without_cost(plan) else None
        except StudyBusyError as error:
            print(f"orchestrate.py: {error}", file=sys.stderr)
            return 4
        except (ValueError, OSError) as error:
            return refuse(error)
        return run(plan, asked, pending, cluster, args.stop_published)


def refuse(error: Exception) -> int:
    """Say in one line what is wrong; the exit code for it."""
    print(f"orchestrate.py: error: {(str(error) or type(error).__name__).splitlines()[0]}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="orchestrate.py", description=__doc__, usage=argparse.SUPPRESS)
    add = arguments.add_argument
    names = ", ".join(SPACES)
    add("--space", required=True, metavar="NAME", help=f"what is searched: {names}, or a Python file of your own")
    add("--recipe", choices=RECIPES, default="digits", help="how it is trained (%(default)s)")
    add("--data", help="folder of class folders, of Parquet files, or torch/<name>:<root> to download to")
    add("--study", help="name of the study (the space, and the recipe unless it is digits)")
    add("--results", type=Path, default=Path("results/runs"), metavar="DIR", help="(%(default)s)")
    add("--seeds", type=int, default=1, metavar="K", help="seeds per candidate (%(default)s)")
    add("--trials", type=int, default=0, metavar="N", help="candidates beyond the published (%(default)s)")
    add("--epochs", type=int, metavar="N", help="end every trial after N epochs of the recipe's schedule")
    add("--stop-published", action="store_true", help="let rungs stop the published candidates too")
    add("--gpus-per-trial", type=float, metavar="G", help="may be a fraction (1 if there are GPUs)")
    add("--cpus-per-trial", type=int, metavar="C", help="also its threads (1, or a GPU's share)")
    add("--address", help="of a running Ray cluster; by default one is started here")
    add("--dashboard", action="store_true", help="start Ray's dashboard on loopback and print its address")
    add("--list", action="store_true", help="print candidates, counts and costs, and launch nothing")
    return arguments


def make_plan(args: argparse.Namespace) -> Plan:
    """Check the command line and load the data; ValueError or OSError in one line if it cannot be done."""
    from results.store import Study
    from trainers.data import load, validation_split

    for name, least in (("seeds", 1), ("trials", 0), ("gpus_per_trial", 0), ("cpus_per_trial", 1)):
        if (value := getattr(args, name)) is not None and not value >= least:
            raise ValueError(f"--{name.replace('_', '-')} {value:g}, expected {least} or more")
    space = own.find_space(args.space)
    recipe = RECIPES[args.recipe] if args.epochs is None else RECIPES[args.recipe].cut(args.epochs)
    source = recipe.source(args.data)
    space = space.on(recipe.backbone)
    study_name = args.study or (space.name if recipe.name == "digits" else f"{space.name}-{recipe.name}")
    problems = space.problems(recipe.img_size)
    if problems:
        print(f"{len(problems)} of {len(space)} candidates cannot be built at {recipe.img_size} px: --list names them")
    candidates = [candidate for candidate in space.required_candidates() if candidate not in problems]
    candidates += space.sample(args.trials, recipe.img_size)
    if source == "digits":
        print("data: scikit-learn's digits, embedded; for real images: --recipe cifar10 --data DIR", flush=True)
    data = load(source, recipe.img_size)
    # A class that is too small to be split is found here, and not by every trial.
    validation_split(data.train_labels, recipe.val_fraction)
    return Plan(space, recipe, data, candidates, args.seeds, Study(study_name, args.results))


def print_list(plan: Plan) -> None:
    """Every candidate of the space with its cost, which of them this command would train, and the counts."""
    from trainers.cost import count_all

    space, size = plan.space, plan.recipe.img_size
    problems, published = space.problems(size), set(space.published_candidates())
    buildable = [candidate for candidate in space if candidate not in problems]
    for candidate, (params, flops) in count_all(buildable, size, plan.data.channels, len(plan.data.classes)).items():
        role = "published" if candidate in published else "sampled" if candidate in plan.candidates else ""
        print(f"{candidate!s:50} {params / 1e6:8.3f} M params {flops / 1e9:9.4f} GFLOPs  {role}".rstrip())
    for reason in problems.values():
        print(f"not built: {reason}")
    counts = f"{len(space)} candidates, {len(published)} published, {len(problems)} that cannot be built at {size} px"
    trials = f"{len(plan.candidates)} candidates x {plan.seeds} seeds = {len(plan.candidates) * plan.seeds} trials"
    rungs = ", ".join(map(str, plan.recipe.rungs)) or "none"
    print(f"space {space.name}: {counts}")
    print(f"this command: {trials} of at most {plan.recipe.budget} epochs, rungs at {rungs}; nothing was launched")


def missing(plan: Plan) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The trials asked for, as the study knows them, and those of them that still need training or lack rows."""
    from results.records import FINISHED

    known = {record.key: record for record in plan.study.records("trials")}
    epochs = plan.study.epochs().groupby("key")["epoch"].apply(list)
    asked, pending = [], []
    for record in (known.get(record.key, record) for record in plan.trials()):
        rows = epochs.get(record.key, [])
        if record.status not in FINISHED or rows != list(range(1, record.epoch + 1)):
            changes = {"status": "running", "error": None, "epoch": len(rows), "commit": commit()}
            record = replace(record, **changes)
            pending.append(record)
        asked.append(record)
    return asked, pending


def open_cluster(args: argparse.Namespace) -> Cluster:
    """Ray as the command line wants it; ValueError if no node can hold a trial."""
    if args.address:
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # read by Ray when it is imported
    from cluster import Cluster

    cluster = Cluster(args.address, args.cpus_per_trial, args.gpus_per_trial, args.dashboard)
    if args.dashboard:
        print(f"dashboard: http://{cluster.dashboard_url} (it asks for a token: `ray get-auth-token` prints it)")
    return cluster


def run(
    plan: Plan, asked: list[TrialRecord], pending: list[TrialRecord], cluster: Cluster | None, stop_published: bool
) -> int:
    """Train what is pending, measure costs, write the report. 0 only if every trial asked for has its rows."""
    from results.progress import Progress
    from results.recorder import Recorder
    from results.report import write_report

    study = plan.study
    print(f"study {study.folder}: {len(asked)} trials, {len(pending)} to train", end="")
    print(f"; {cluster}" if cluster else "", flush=True)
    received = 0
    if cluster and pending:
        required = set() if stop_published else set(map(str, plan.space.required_candidates()))
        spared = {trial.key for trial in asked if trial.candidate in required}
        with Progress(asked) as progress:
            recorder = Recorder(study, pending, progress)
            received = cluster.train(recorder, plan.recipe, plan.data, spared)
    if cluster and not received:
        measure_costs(plan, cluster)
    try:
        markdown, files = write_report(study)
    except (ValueError, OSError) as error:
        return refuse(error)
    print(f"\n{markdown}")
    print("\n".join(f"wrote {file}" for file in files))
    finished = set(study.finished()["key"])
    lacking = [record for record in asked if record.key not in finished]
    for record in lacking:
        print(f"no result yet: {record.candidate} seed {record.seed}", file=sys.stderr)
    if lacking:
        print("run the same command again to go on", file=sys.stderr)
    return 128 + received if received else int(bool(lacking))


def without_cost(plan: Plan) -> list[Candidate]:
    """The candidates whose cost was measured on no device yet."""
    known = set(plan.study.costs()["candidate"])
    return [candidate for candidate in plan.candidates if str(candidate) not in known]


def measure_costs(plan: Plan, cluster: Cluster) -> None:
    """Cost of each trained candidate, one at a time while nothing else runs, unless it is known for this device."""
    from results.records import CostRecord

    device, size = cluster.device(), plan.recipe.img_size
    known = set(plan.study.costs().query("device == @device")["candidate"])
    trained = set(plan.study.finished()["candidate"])
    for candidate in (candidate for candidate in plan.candidates if str(candidate) in trained - known):
        cost = cluster.measure(candidate, plan.recipe, plan.data.channels, len(plan.data.classes))
        key = f"{candidate}--{size}px--{re.sub('[^a-z0-9]+', '-', device.lower())}"
        row = CostRecord(key=key, candidate=str(candidate), img_size=size, **asdict(cost))
        plan.study.write("costs", key, [row])


@cache
def commit() -> str:
    """The commit of this code, with + if it has local changes; empty outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git here
        return ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # before or after the trials, which handle it themselves
