"""The estimate of a study as the lines that are printed before it trains."""

from __future__ import annotations

from orchestrator.plan import StudyPlan
from orchestrator.preflight import Resolution, StudyEstimate
from results.statistics.power import POWER
from storage.folder import Folder


def describe(estimate: StudyEstimate, plan: StudyPlan) -> list[str]:
    """The estimate in a few lines: counts, time, loading of streamed images, disk, and the resolvable difference."""
    if plan.options.race:
        return [_describe_race(estimate, plan)]
    lines = [_describe_counts(estimate, plan), *_describe_futility(plan), _describe_time(estimate)]
    if estimate.loader:
        lines.append(estimate.loader.summary(estimate.fastest_speed * estimate.ranks))
    lines.append(describe_disk(estimate.disk_bytes, plan.study.folder, estimate.free_bytes))
    lines.append(_describe_resolution(estimate.num_seeds, estimate.resolution))
    return lines


def _describe_counts(estimate: StudyEstimate, plan: StudyPlan) -> str:
    rungs = ", ".join(str(rung) for rung in plan.rungs()) or "none"
    return (
        f"{estimate.num_candidates} candidates x {estimate.num_seeds} seeds = {estimate.num_requested} trials, "
        f"{estimate.num_pending} to train, at most {plan.recipe.budget} epochs each, rungs at {rungs}"
    )


def _describe_futility(plan: StudyPlan) -> list[str]:
    """A line if published rows may be stopped, otherwise none."""
    futility = plan.futility()
    pauses = ", ".join(str(epoch) for epoch in futility.pauses())
    if not futility.baselines or not pauses:
        return []
    rows = "row" if len(futility.baselines) == 1 else "rows"
    return [
        f"{len(futility.baselines)} published {rows} may be stopped at epochs {pauses} if almost certain to lose "
        "against the baseline (--keep-published trains them to the end)"
    ]


def _describe_time(estimate: StudyEstimate) -> str:
    ranks = f", on each of {estimate.ranks} ranks" if estimate.ranks > 1 else ""
    return (
        f"training runs at {estimate.slowest_speed:,.0f} to {estimate.fastest_speed:,.0f} images/s "
        f"(one trial alone on {estimate.device}{ranks}); the longest trial takes "
        f"{format_duration(estimate.longest_pending_seconds)}, all together {format_duration(estimate.total_seconds)} "
        f"with {estimate.trials_at_a_time} at a time; more if they slow each other down, less if rungs stop some"
    )


def describe_disk(disk_bytes: int, folder: Folder, free_bytes: int | None) -> str:
    """How much disk is needed in a folder, and how much is free there if that is known."""
    free = "" if free_bytes is None else f", {format_bytes(free_bytes)} free"
    return f"{format_bytes(disk_bytes)} of disk needed in {folder}{free}"


def _describe_resolution(seeds: int, resolution: Resolution | None) -> str:
    if resolution is None:
        return "one seed per candidate resolves no difference, however large: use --seeds K"
    source = "measured in this study" if resolution.measured else "assumed"
    return (
        f"{seeds} seeds per candidate resolve differences of {resolution.points:.1f} points or more in "
        f"{100 * POWER:.0f} % of cases (standard deviation {resolution.sd:.2f} between seeds, {source}; "
        f"{resolution.num_comparisons} comparisons in the largest table)"
    )


def _describe_race(estimate: StudyEstimate, plan: StudyPlan) -> str:
    """The estimate of a race, whose trials nobody knows in advance."""
    shortest = format_duration(estimate.shortest_candidate_seconds)
    longest = format_duration(estimate.longest_candidate_seconds)
    duration = longest if shortest == longest else f"{shortest} to {longest}"
    return (
        f"a race of {len(plan.space)} candidates until confidence {plan.options.race:g} or until "
        f"{plan.options.budget} are spent; a trial takes {duration} alone on {estimate.device}, "
        f"{estimate.trials_at_a_time} at a time"
    )


def format_duration(seconds: float) -> str:
    """`119 s`, `2.0 min` or `2.0 h`."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 2 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s"


def format_bytes(number: float) -> str:
    """`38 MB` or `1.2 GB`."""
    if number >= 1e9:
        return f"{number / 1e9:.1f} GB"
    return f"{number / 1e6:.0f} MB"
