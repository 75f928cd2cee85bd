"""Checks a parsed command line, loads its data and makes its StudyPlan."""

from __future__ import annotations

import argparse
from dataclasses import replace

from orchestrator.plan import SearchOptions, StudyPlan
from results.store import Study
from schedulers.budget import Budget
from searchspace import user_space
from searchspace.candidate import Candidate
from searchspace.spaces import SearchSpace
from trainers.data.open_dataset import open_dataset
from trainers.data.splits import validation_split
from trainers.recipes import RECIPES, Recipe

# The least and the most of each option; beyond it a mistyped number would hang the command.
BOUNDS = {"seeds": (1, 1000), "trials": (0, 1_000_000), "gpus_per_trial": (0, 1024), "cpus_per_trial": (1, 4096)}
SMALLEST_GPU_SHARE = 0.01
LONGEST_KEY = 200  # bytes; a file name has at most 255, and a key gets endings and the names of devices


def make_plan(args: argparse.Namespace) -> StudyPlan:
    """The plan of a command line. ValueError or OSError in one line if it asks for what cannot be done."""
    _check_numbers(args)
    space = user_space.find_space(args.space)
    recipe = RECIPES[args.recipe]
    if args.epochs is not None:
        recipe = recipe.cut(args.epochs)
    if args.ema is not None:
        recipe = replace(recipe, ema_decay=args.ema)
    source = recipe.source(args.data)
    space = space.on(recipe.backbone)
    study = Study(args.study or _default_study_name(space, recipe), args.results)
    candidates = _always_trained(space, recipe.img_size, num_proposals=args.trials)
    options = make_search_options(args, recipe.budget)
    weights = None
    if args.init or recipe.mixers_first:
        from trainers.warm_start import warm_start  # it imports torch

        recipe, weights = warm_start(recipe, args.init)
    if source == "digits":
        print("data: scikit-learn's embedded digits; for real images: --recipe cifar10 --data DIR", flush=True)
    data = open_dataset(source, recipe)
    validation_split(data, recipe.val_fraction)  # raises here, not in every trial, if a class is too small
    plan = StudyPlan(
        space=space,
        recipe=recipe,
        data=data,
        candidates=candidates,
        seeds=args.seeds,
        study=study,
        options=options,
        weights=weights,
    )
    _check_key_length(plan)
    return plan


def _check_key_length(plan: StudyPlan) -> None:
    """ValueError if the names of token mixers are so long that a trial's key is too long for the name of a file."""
    names = [str(candidate) for candidate in plan.candidates]
    widest = [max(map(len, stage), default=0) for stage in plan.space.choices]
    in_space = len(plan.space.backbone) + len(widest) + sum(widest)
    longest = max(in_space, *map(len, names))
    others = len(plan.trial(plan.candidates[0], plan.seeds - 1).key) - len(names[0])
    if longest + others > LONGEST_KEY:
        raise ValueError(
            f"the names of a candidate's token mixers take {longest} characters, expected at most "
            f"{LONGEST_KEY - others}: files are named after them"
        )


def _check_numbers(args: argparse.Namespace) -> None:
    """ValueError for a number that is too small, or not a number."""
    for name, (minimum, maximum) in BOUNDS.items():
        value = getattr(args, name)
        option = f"--{name.replace('_', '-')}"
        if value is not None and not value >= minimum:  # NaN is not at least anything
            raise ValueError(f"{option} {value:g}, expected {minimum} or more")
        if value is not None and value > maximum:
            raise ValueError(f"{option} {value:g}, expected at most {maximum}")
    if args.gpus_per_trial and args.gpus_per_trial < SMALLEST_GPU_SHARE:
        raise ValueError(f"--gpus-per-trial {args.gpus_per_trial:g}, expected 0, or {SMALLEST_GPU_SHARE} or more")
    if args.hang_after is not None and not args.hang_after > 0:
        raise ValueError(f"--hang-after {args.hang_after:g}, expected more than 0 minutes")


def _default_study_name(space: SearchSpace, recipe: Recipe) -> str:
    if recipe.name == "digits":
        return space.name
    return f"{space.name}-{recipe.name}"


def _always_trained(space: SearchSpace, img_size: int, num_proposals: int) -> list[Candidate]:
    """The candidates that are trained in any case. ValueError if the baseline cannot be built or too few are left."""
    problems = space.problems(img_size)
    if problems:
        print(f"{len(problems)} of {len(space)} candidates cannot be built at {img_size} px: --list names them")
    baseline_problem = problems.get(space.baseline_candidate)
    if baseline_problem:
        raise ValueError(f"the baseline cannot be built: {baseline_problem}")
    candidates = [candidate for candidate in space.required_candidates() if candidate not in problems]
    excluded = {*problems, *candidates}
    num_others = len(space) - sum(candidate in space for candidate in excluded)  # the baseline may lie outside
    if num_proposals > num_others:
        raise ValueError(f"{num_proposals} trials beyond the published ones, but space {space.name!r} has {num_others}")
    return candidates


def make_search_options(args: argparse.Namespace, epochs_per_trial: int) -> SearchOptions:
    """The search options of a command line; ValueError in one line if they contradict each other."""
    if args.objective not in ("top1", "top1,flops", "top1,params"):
        raise ValueError(f"--objective {args.objective}, expected top1, or top1,flops or top1,params")
    cost = args.objective.partition(",")[2]
    budget = Budget.parse(args.budget) if args.budget else None
    if budget and budget.unit == "epochs" and budget.amount < epochs_per_trial:
        raise ValueError(f"--budget {args.budget}, expected at least the {epochs_per_trial} epochs of one trial")
    if args.race is not None:
        _check_race(args)
    return SearchOptions(
        proposals=args.trials,
        sampler=args.sampler,
        stopping=args.stopping,
        keep_published=args.keep_published,
        cost=cost or None,
        race=args.race,
        budget=budget,
    )


def _check_race(args: argparse.Namespace) -> None:
    """ValueError if --race contradicts other options."""
    if not 0.5 < args.race < 1:
        raise ValueError(f"--race {args.race:g}, expected a confidence between 0.5 and 1, such as 0.95")
    if not args.budget:
        raise ValueError("--race needs a --budget too: a race between equal candidates is never decided")
    if args.seeds > 1 or args.trials or args.objective != "top1":
        raise ValueError("--race adds seeds and candidates by itself: leave out --seeds, --trials and --objective")
