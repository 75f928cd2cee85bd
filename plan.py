"""What one command line asks for: candidates, trials, and which of them are missing."""

from __future__ import annotations

import argparse
import subprocess
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchspace import own
from searchspace.candidate import Candidate
from searchspace.spaces import SearchSpace
from trainers.recipes import RECIPES, Recipe

if TYPE_CHECKING:
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
            "report": {
                "rows": rows,
                "baseline": self.space.baseline_candidate.placement,
                "rungs": self.recipe.rungs,
            },
        }

    def shape(self) -> tuple[int, int, int]:
        """Pixels of a side, channels and classes."""
        return self.recipe.img_size, self.data.channels, len(self.data.classes)

    def comparisons(self) -> int:
        """Comparisons with a baseline in the largest table of the report."""
        rows = self.space.published_rows()
        tables = Counter(table for table, _ in {(r.table, r.candidate) for r in rows if r.candidate != r.baseline})
        required = self.space.required_candidates()
        return max(*tables.values(), sum(candidate not in required for candidate in self.candidates), 1)

    def trials(self) -> list[TrialRecord]:
        """A fresh record for each trial asked for: every candidate with seed 0, then with seed 1 ..."""
        from results.records import TrialRecord

        published, fingerprint = set(self.space.published_candidates()), self.data.fingerprint
        shared: dict[str, Any] = {
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
    if reason := problems.get(space.baseline_candidate):
        raise ValueError(f"the baseline cannot be built: {reason}")
    candidates = [candidate for candidate in space.required_candidates() if candidate not in problems]
    candidates += space.sample(args.trials, recipe.img_size)
    if source == "digits":
        print("data: scikit-learn's digits, embedded; for real images: --recipe cifar10 --data DIR", flush=True)
    data = load(source, recipe.img_size)
    # A class that is too small to be split is found here, and not by every trial.
    validation_split(data.train_labels, recipe.val_fraction)
    return Plan(space, recipe, data, candidates, args.seeds, Study(study_name, args.results))


def missing(plan: Plan) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The trials asked for, as the study knows them, and those of them that still need training or lack rows."""
    from results.records import ENDED, TrialRecord

    known = {record.key: record for record in plan.study.records(TrialRecord)}
    epochs = plan.study.epochs().groupby("key")["epoch"].apply(list)
    asked, pending = [], []
    for record in (known.get(record.key, record) for record in plan.trials()):
        rows = epochs.get(record.key, [])
        if record.status not in ENDED or rows != list(range(1, record.epoch + 1)):
            changes: dict[str, Any] = {"status": "running", "error": None, "epoch": len(rows), "commit": commit()}
            record = replace(record, **changes)
            pending.append(record)
        asked.append(record)
    return asked, pending


def without_cost(plan: Plan) -> list[Candidate]:
    """The candidates whose cost was measured on no device yet."""
    known = set(plan.study.costs()["candidate"])
    return [candidate for candidate in plan.candidates if str(candidate) not in known]


@cache
def commit() -> str:
    """The commit of this code, with + if it has local changes; empty outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git here
        return ""
