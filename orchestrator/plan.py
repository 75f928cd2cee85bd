"""What one command line asks for: candidates, trials, and which of them are missing."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from schedulers.budget import Budget
from searchspace import user_space
from searchspace.candidate import Candidate
from searchspace.spaces import SearchSpace
from trainers.recipes import RECIPES, Recipe
from trainers.version import code, commit

if TYPE_CHECKING:
    from results.records import TrialRecord
    from results.settings import StudySettings
    from results.store import Study
    from trainers.data.dataset import ImageDataset
    from trainers.warm_start import Weights


@dataclass(frozen=True)
class SearchOptions:
    """What decides which trials are run."""

    proposals: int = 0  # candidates of the sampler's choice, beyond those that are trained in any case
    sampler: str = "gp"
    stopping: str = "asha"
    stop_published: bool = False
    cost: str | None = None  # flops or params: the front of top-1 and this is searched
    race: float | None = None  # confidence
    budget: Budget | None = None


@dataclass(frozen=True)
class StudyPlan:
    """What one command line asks for."""

    space: SearchSpace
    recipe: Recipe
    data: ImageDataset
    candidates: list[Candidate]  # what is trained in any case: published first, then the baseline
    seeds: int
    study: Study
    how: SearchOptions
    weights: Weights | None = None  # that every trial begins with

    def settings(self) -> StudySettings:
        """What the study is run with, for its `study.json`."""
        from results.settings import PublishedRow, StudySettings

        rows = [
            PublishedRow(
                table=row.table,
                row=row.row,
                heads=row.heads,
                placement=row.candidate.placement,
                baseline=row.baseline.placement,
            )
            for row in self.space.published_rows()
        ]
        return StudySettings(
            space=self.space.name,
            space_file=user_space.fingerprint(),
            backbone=self.space.backbone,
            data_name=self.data.name,
            data_fingerprint=self.data.fingerprint,
            recipe=self.recipe.choices(),
            code=code(),
            budget=self.recipe.budget,
            rows=tuple(rows),
            baseline=self.space.baseline_candidate.placement,
            rungs=tuple(self.rungs()),
            search={**asdict(self.how), "budget": str(self.how.budget) if self.how.budget else None},
        )

    def rungs(self) -> list[int]:
        """Epochs at which trials pause."""
        return [] if self.how.stopping == "none" or self.how.race else self.recipe.rungs

    def shape(self) -> tuple[int, int, int]:
        """Pixels of a side, channels and classes."""
        return self.recipe.img_size, self.data.channels, len(self.data.classes)

    def comparisons(self) -> int:
        """Comparisons with a baseline in the largest table of the report."""
        rows = self.space.published_rows()
        tables = Counter(table for table, _ in {(r.table, r.candidate) for r in rows if r.candidate != r.baseline})
        return max(*tables.values(), self.how.proposals, 1)

    def trial(self, candidate: Candidate, seed: int) -> TrialRecord:
        """A fresh record of a trial."""
        from results.records import TrialRecord

        fingerprint = self.data.fingerprint
        return TrialRecord(
            key=f"{candidate}--{self.recipe.name}-{self.recipe.fingerprint}-{fingerprint}--seed{seed}",
            study=self.study.name,
            space=self.space.name,
            candidate=str(candidate),
            backbone=candidate.backbone,
            placement=candidate.placement,
            published=candidate in self.space.published_candidates(),
            recipe=self.recipe.name,
            recipe_fingerprint=self.recipe.fingerprint,
            data=self.data.name,
            data_fingerprint=fingerprint,
            seed=seed,
            budget=self.recipe.budget,
            commit=commit(),
            code=code(),
        )

    def own(self, other: TrialRecord) -> TrialRecord | None:
        """The trial of this study that another study's may stand for, or None if it could have none such."""
        try:
            candidate = Candidate.parse(other.candidate)
        except ValueError:  # a mixer that only its own space knows
            return None
        proposable = candidate in self.space and (self.how.race or other.seed == 0)
        wanted = proposable or (candidate in self.candidates and other.seed < self.seeds)
        return self.trial(candidate, other.seed) if wanted else None


def make_plan(args: argparse.Namespace) -> StudyPlan:
    """Check the command line and load the data; ValueError or OSError in one line if it cannot be done."""
    from results.store import Study
    from trainers.data.open_dataset import open_dataset
    from trainers.data.splits import validation_split

    for name, least in (("seeds", 1), ("trials", 0), ("gpus_per_trial", 0), ("cpus_per_trial", 1)):
        if (value := getattr(args, name)) is not None and not value >= least:
            raise ValueError(f"--{name.replace('_', '-')} {value:g}, expected {least} or more")
    if args.hang_after is not None and not args.hang_after > 0:
        raise ValueError(f"--hang-after {args.hang_after:g}, expected more than 0 minutes")
    space = user_space.find_space(args.space)
    recipe = RECIPES[args.recipe] if args.epochs is None else RECIPES[args.recipe].cut(args.epochs)
    source = recipe.source(args.data)
    space = space.on(recipe.backbone)
    study_name = args.study or (space.name if recipe.name == "digits" else f"{space.name}-{recipe.name}")
    study = Study(study_name, args.results)
    problems = space.problems(recipe.img_size)
    if problems:
        print(f"{len(problems)} of {len(space)} candidates cannot be built at {recipe.img_size} px: --list names them")
    if reason := problems.get(space.baseline_candidate):
        raise ValueError(f"the baseline cannot be built: {reason}")
    how = make_search_options(args, recipe.budget)
    candidates = [candidate for candidate in space.required_candidates() if candidate not in problems]
    # The baseline may lie outside of the space.
    others = len(space) - sum(candidate in space for candidate in {*problems, *candidates})
    if args.trials > others:
        raise ValueError(f"{args.trials} trials beyond the published ones, but space {space.name!r} has {others}")
    weights = None
    if args.init or recipe.mixers_first:
        from trainers.warm_start import warm_start

        recipe, weights = warm_start(recipe, args.init)
    if source == "digits":
        print("data: scikit-learn's digits, embedded; for real images: --recipe cifar10 --data DIR", flush=True)
    data = open_dataset(source, recipe)
    # A class that is too small to be split is found here, and not by every trial.
    validation_split(data.train_labels, recipe.val_fraction)
    return StudyPlan(space, recipe, data, candidates, args.seeds, study, how, weights)


def make_search_options(args: argparse.Namespace, epochs: int) -> SearchOptions:
    """Check what decides which trials, of so many epochs, are run; ValueError in one line if it contradicts itself."""
    cost = args.objective.partition(",")[2]
    if args.objective not in ("top1", "top1,flops", "top1,params"):
        raise ValueError(f"--objective {args.objective}, expected top1, or top1,flops or top1,params")
    budget = Budget.parse(args.budget) if args.budget else None
    if budget and budget.unit == "epochs" and budget.amount < epochs:
        raise ValueError(f"--budget {args.budget}, expected at least the {epochs} epochs of one trial")
    if args.race is not None:
        if not 0.5 < args.race < 1:
            raise ValueError(f"--race {args.race:g}, expected a confidence between 0.5 and 1, such as 0.95")
        if not args.budget:
            raise ValueError("--race needs a --budget too: between equal candidates no race is ever decided")
        if args.seeds > 1 or args.trials or cost:
            raise ValueError("--race adds seeds and candidates by itself: leave out --seeds, --trials and --objective")
    return SearchOptions(args.trials, args.sampler, args.stopping, args.stop_published, cost or None, args.race, budget)


def known(plan: StudyPlan) -> list[TrialRecord]:
    """The study's trials in the order in which they began; those that lack rows, or failed, are running again."""
    from results.records import ENDED, TrialRecord

    epochs = plan.study.epochs().groupby("key")["epoch"].apply(list)
    records = sorted(plan.study.records(TrialRecord), key=lambda record: (record.number or 0, record.seed))
    found = []
    for record in records:
        rows = epochs.get(record.key, [])
        if record.status not in ENDED or rows != list(range(1, record.epoch + 1)):
            record = replace(record, status="running", epoch=len(rows), commit=commit(), code=code())
        found.append(record)
    return found


def pending_trials(plan: StudyPlan) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The trials asked for, as the study knows them, and those of them that still need training or lack rows.

    What the sampler will propose is not known yet: candidates drawn at random stand in for it. Of a race only those
    trials are known that it has begun.
    """
    from results.records import ENDED

    have = {record.key: record for record in known(plan)}
    if plan.how.race:
        return list(have.values()), [record for record in have.values() if record.status not in ENDED]
    proposed = {record.candidate: None for record in have.values() if not record.reused}
    candidates = dict.fromkeys([*plan.candidates, *map(Candidate.parse, proposed)])
    left = plan.how.proposals - (len(candidates) - len(plan.candidates))
    drawn = plan.space.sample(plan.how.proposals, plan.recipe.img_size) if left > 0 else []
    stand_ins = [candidate for candidate in drawn if candidate not in candidates]
    every = [*candidates, *stand_ins[: max(left, 0)]]
    fresh = [plan.trial(candidate, seed) for seed in range(plan.seeds) for candidate in every]
    asked = [have.get(record.key, record) for record in fresh]
    return asked, [record for record in asked if record.status not in ENDED]


def unmeasured_candidates(plan: StudyPlan) -> list[Candidate]:
    """The candidates, of those asked for or trained, whose cost was measured on no device yet."""
    have = set(plan.study.costs()["candidate"])
    trained = map(Candidate.parse, plan.study.ended()["candidate"].unique())
    return [candidate for candidate in dict.fromkeys([*plan.candidates, *trained]) if str(candidate) not in have]
