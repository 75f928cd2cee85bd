"""Estimates, before a study trains, what it will take (time and disk) and which differences it can resolve.

Nothing here prints, writes or measures: the measured costs come in, a StudyEstimate goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.plan import StudyPlan, needs_training
from orchestrator.speed_model import SpeedModel
from results.records import CostRecord, TrialRecord
from results.statistics.finished import finished_top1
from results.statistics.power import pooled_sd, smallest_difference
from results.store import Study
from searchspace.candidate import Candidate
from trainers.cost import Cost, ModelSize, count_all
from trainers.data.decoding_estimate import DecodingEstimate
from trainers.resources import Resources

CHECKPOINT_BYTES_PER_PARAM = 12  # fp32 weights and the optimizer's two moments
EMA_BYTES_PER_PARAM = 4  # the averaged weights, with --ema


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What was measured for an estimate. `costs` are those of at least the smallest and the largest candidate."""

    costs: Sequence[Cost | CostRecord]
    resources: Resources  # of one trial
    trials_at_a_time: int
    decoding_speed: float | None = None  # images per second of one process, if images are streamed

    def loader(self) -> DecodingEstimate | None:
        """The loader workers of a trial and what they decode; None for images in memory."""
        if self.decoding_speed is None:
            return None
        fastest = max(cost.train_images_per_second for cost in self.costs)
        return DecodingEstimate.for_model(
            self.decoding_speed, fastest, self.resources, trials_at_a_time=self.trials_at_a_time
        )


@dataclass(frozen=True, kw_only=True)
class TrainingNeeds:
    """What the preflight found out for the training that follows."""

    loader_workers: int = 0  # of each rank
    longest_epoch_seconds: float | None = None  # the forecast; None if the speed could not be measured


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The smallest difference to a baseline, in percentage points, that the seeds of a study resolve."""

    points: float
    sd: float  # standard deviation between seeds, points
    measured: bool  # whether the study's own seeds gave `sd`, or it is assumed
    num_comparisons: int


@dataclass(frozen=True, kw_only=True)
class StudyEstimate:
    """What a study takes. Speeds are images per second of one rank in training, times are seconds."""

    num_candidates: int
    num_seeds: int
    num_requested: int  # trials
    num_pending: int
    device: str
    ranks: int
    trials_at_a_time: int
    slowest_speed: float
    fastest_speed: float
    shortest_candidate_seconds: float  # of one whole trial
    longest_candidate_seconds: float
    longest_pending_seconds: float
    longest_epoch_seconds: float  # of the slowest candidate: training, validation and the test images
    total_seconds: float
    disk_bytes: int
    free_bytes: int | None  # None for an object store
    loader: DecodingEstimate | None
    resolution: Resolution | None  # None with a single seed

    @property
    def disk_suffices(self) -> bool:
        """Whether the pending trials fit on the disk, as far as that is known."""
        return self.free_bytes is None or self.disk_bytes <= self.free_bytes


def estimate_study(
    plan: StudyPlan,
    requested: Sequence[TrialRecord],
    sizes: Mapping[str, ModelSize],
    measured: Measurements,
) -> StudyEstimate:
    """Estimate the requested trials of a plan. `sizes` holds every candidate of `requested`, by its text."""
    pending = [trial for trial in requested if needs_training(trial)]
    ranks = measured.resources.ranks
    loader = measured.loader()
    speed = SpeedModel.fit(measured.costs)

    def trial_seconds(flops: int, epochs: int) -> float:
        return speed.trial_seconds(flops, plan.recipe, plan.data, epochs, ranks=ranks, loader=loader)

    epoch_seconds = [trial_seconds(size.flops, 1) for size in sizes.values()]
    candidate_seconds = [trial_seconds(size.flops, plan.recipe.budget) for size in sizes.values()]
    pending_seconds = [trial_seconds(sizes[trial.candidate].flops, trial.budget - trial.epoch) for trial in pending]
    longest_pending = max(pending_seconds, default=0.0)
    train_speeds = [cost.train_images_per_second for cost in measured.costs]
    num_seeds = len({trial.seed for trial in requested})
    return StudyEstimate(
        num_candidates=len({trial.candidate for trial in requested}),
        num_seeds=num_seeds,
        num_requested=len(requested),
        num_pending=len(pending),
        device=measured.costs[0].device,
        ranks=ranks,
        trials_at_a_time=measured.trials_at_a_time,
        slowest_speed=min(train_speeds),
        fastest_speed=max(train_speeds),
        shortest_candidate_seconds=min(candidate_seconds),
        longest_candidate_seconds=max(candidate_seconds),
        longest_pending_seconds=longest_pending,
        longest_epoch_seconds=max(epoch_seconds) * measured.resources.trials_per_gpu,
        total_seconds=max(sum(pending_seconds) / measured.trials_at_a_time, longest_pending),
        disk_bytes=disk_bytes(
            [sizes[trial.candidate].num_params for trial in pending],
            measured.trials_at_a_time,
            averaged=plan.recipe.ema_decay is not None,
        ),
        free_bytes=plan.study.folder.free(),
        loader=loader,
        resolution=_resolution(num_seeds, plan.num_comparisons(), plan.study) if num_seeds > 1 else None,
    )


def candidate_sizes(plan: StudyPlan, trials: Sequence[TrialRecord]) -> dict[str, ModelSize]:
    """Sizes of these trials' candidates and of those that are always trained, by the candidate's text."""
    candidates = [Candidate.parse(name) for name in dict.fromkeys(trial.candidate for trial in trials)]
    counts = count_all(list(dict.fromkeys([*candidates, *plan.candidates])), *plan.input_shape())
    return {str(candidate): size for candidate, size in counts.items()}


def extreme_candidates(sizes: Mapping[str, ModelSize]) -> list[str]:
    """The candidates with the fewest and the most FLOPs: the ones that must be measured."""
    smallest = min(sizes, key=lambda name: sizes[name].flops)
    largest = max(sizes, key=lambda name: sizes[name].flops)
    return list(dict.fromkeys([smallest, largest]))


def disk_bytes(params: Sequence[int], trials_at_a_time: int, *, averaged: bool = False, row_bytes: int = 30_000) -> int:
    """Bytes that trials of models with so many parameters write, with `averaged` weights or without.

    Every trial keeps one checkpoint and its rows; each running one briefly holds a second checkpoint.
    """
    bytes_per_param = CHECKPOINT_BYTES_PER_PARAM + averaged * EMA_BYTES_PER_PARAM
    checkpoints = sorted((count * bytes_per_param for count in params), reverse=True)
    return sum(checkpoints) + sum(checkpoints[:trials_at_a_time]) + len(checkpoints) * row_bytes


def remaining_disk_bytes(plan: StudyPlan, trials_at_a_time: int) -> int:
    """Bytes that the pending trials of a plan still write."""
    pending = plan.pending_trials()
    if not pending:
        return 0
    sizes = candidate_sizes(plan, pending)
    params = [sizes[trial.candidate].num_params for trial in pending]
    return disk_bytes(params, trials_at_a_time, averaged=plan.recipe.ema_decay is not None)


def _resolution(seeds: int, num_comparisons: int, study: Study, *, assumed_sd: float = 0.5) -> Resolution:
    """What `seeds` seeds per candidate resolve; the noise is the study's own if it has any seeds yet."""
    measured_sd = pooled_sd(finished_top1(study.trials()).values())
    sd = measured_sd if measured_sd > 0 else assumed_sd
    return Resolution(
        points=smallest_difference(sd, seeds, max(num_comparisons, 1)),
        sd=sd,
        measured=measured_sd > 0,
        num_comparisons=num_comparisons,
    )
