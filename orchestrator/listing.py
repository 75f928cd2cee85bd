"""What --list prints: the candidates of a space with their sizes, and the estimate of the study."""

from __future__ import annotations

from orchestrator.machine_checks import check_gpus_here
from orchestrator.plan import StudyPlan
from orchestrator.preflight import (
    Measurements,
    candidate_sizes,
    estimate_study,
    extreme_candidates,
)
from orchestrator.preflight_text import describe
from searchspace.candidate import Candidate
from trainers.cost import Cost, ModelSize, count_all, measure
from trainers.data.decoding_estimate import decoding_speed
from trainers.resources import Resources, local_resources


def print_listing(plan: StudyPlan, cpus: int | None, gpus: float | None, *, max_listed: int = 1000) -> None:
    """Print every candidate of the space, or of a large space those always trained, and the estimate on this machine.

    Costs are measured in this process; nothing is launched or written. ValueError if they cannot be measured.
    """
    problems = plan.space.problems(plan.recipe.img_size)
    published = set(plan.space.published_candidates())
    listed = plan.candidates
    if len(plan.space) <= max_listed:
        listed = [candidate for candidate in plan.space if candidate not in problems]
    for candidate, size in count_all(listed, *plan.input_shape()).items():
        role = ""
        if candidate in published:
            role = "published"
        elif candidate in plan.candidates:
            role = "baseline"
        print(_describe_candidate(candidate, size, role))
    for reason in list(problems.values())[:max_listed]:
        print(f"cannot be built: {reason}")
    print(
        f"space {plan.space.name}: {len(plan.space)} candidates, {len(published)} published, "
        f"{len(problems)} that cannot be built at {plan.recipe.img_size} px"
    )
    for line in _estimate_here(plan, cpus, gpus):
        print(line)
    print("measured on this machine; nothing was launched")


def _describe_candidate(candidate: Candidate, size: ModelSize, role: str) -> str:
    return f"{candidate!s:50} {size.num_params / 1e6:8.3f} M params {size.flops / 1e9:9.4f} GFLOPs  {role}".rstrip()


def _estimate_here(plan: StudyPlan, cpus: int | None, gpus: float | None) -> list[str]:
    """The study's estimate in lines, from costs measured in this process."""
    requested = plan.requested_trials()
    sizes = candidate_sizes(plan, requested)
    check_gpus_here(plan.recipe, gpus)
    resources, trials_at_a_time = local_resources(cpus, gpus, small_images=not plan.recipe.streamed)
    measured = Measurements(
        costs=[_measure_here(plan, name, resources) for name in extreme_candidates(sizes)],
        resources=resources,
        trials_at_a_time=trials_at_a_time,
        decoding_speed=decoding_speed(plan.data, plan.recipe),
    )
    return describe(estimate_study(plan, requested, sizes, measured), plan)


def _measure_here(plan: StudyPlan, candidate: str, resources: Resources) -> Cost:
    _, channels, num_classes = plan.input_shape()
    try:
        return measure(Candidate.parse(candidate), plan.recipe, channels, num_classes, resources, memory=False)
    except RuntimeError as error:  # for example a GPU that is too small
        raise ValueError(f"costs cannot be measured: {str(error).splitlines()[0]}") from error
