"""What a study will take, before it is launched: images per second, hours, disk, and the differences it can show."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator.plan import StudyPlan, pending_trials
from results.records import CostRecord, TrialRecord
from results.report.tables import finished_top1
from results.statistics.comparison import POWER, pooled_sd, smallest_difference
from results.store import Study
from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.cost import Cost, count_all, measure, share_here
from trainers.data.dataset import ImageDataset
from trainers.data.decoding_estimate import DecodingEstimate, decoding_speed
from trainers.recipes import Recipe
from trainers.resources import Resources

if TYPE_CHECKING:
    from orchestrator.ray_trials import Cluster

LISTED = 1000  # candidates of a space that --list prints; of a larger one only those asked for
ASSUMED_SD = 0.5  # points of top-1 between seeds, where the study has none to measure it on
CHECKPOINT = 12  # bytes a parameter: fp32 weights and two moments
ROWS = 30_000  # bytes of a trial's rows


@dataclass(frozen=True)
class Speed:
    """Seconds an image takes, as a line through the measured candidates over their FLOPs."""

    train: tuple[float, float]
    infer: tuple[float, float]

    @classmethod
    def through(cls, costs: Sequence[Cost | CostRecord]) -> Speed:
        """The line through the cheapest and the dearest of the measured candidates."""
        low, high = (pick(costs, key=lambda cost: cost.flops) for pick in (min, max))
        between = max(high.flops - low.flops, 1)

        def line(first: float, last: float) -> tuple[float, float]:
            slope = (1 / last - 1 / first) / between
            return 1 / first - slope * low.flops, slope

        return cls(
            line(low.train_images_per_second, high.train_images_per_second),
            line(low.images_per_second, high.images_per_second),
        )

    def seconds(
        self,
        flops: int,
        recipe: Recipe,
        data: ImageDataset,
        epochs: int,
        ranks: int = 1,
        loader: DecodingEstimate | None = None,
    ) -> float:
        """Training and validation of so many epochs, and one pass over the test images."""
        held_out = data.num_train * recipe.val_fraction
        train, infer = ((start + slope * flops) / ranks for start, slope in (self.train, self.infer))
        if loader:
            train, infer = loader.seconds(train), loader.seconds(infer)
        passes = (data.num_train - held_out) * train + held_out * infer
        return epochs * passes + data.num_test * infer


@dataclass(frozen=True)
class Preflight:
    """A recipe on some data, `sizes` (parameters and FLOPs) of each candidate, `costs` of at least the extremes."""

    recipe: Recipe
    data: ImageDataset
    sizes: Mapping[str, tuple[int, int]]
    costs: Sequence[Cost | CostRecord]
    side_by_side: int  # trials that run at a time
    ranks: int = 1
    loader: DecodingEstimate | None = None  # of streamed images

    def lines(self, asked: Sequence[TrialRecord], pending: Sequence[TrialRecord], plan: StudyPlan) -> list[str]:
        """What is printed: the counts, the time and the disk that `pending` takes, and what `asked` can resolve."""
        if plan.how.race:
            return [self._race(plan)]
        candidates, seeds = len({trial.candidate for trial in asked}), len({trial.seed for trial in asked})
        rungs = ", ".join(map(str, plan.rungs())) or "none"
        return [
            f"{candidates} candidates x {seeds} seeds = {len(asked)} trials, {len(pending)} to train, "
            f"of at most {self.recipe.budget} epochs, rungs at {rungs}",
            self._time(pending),
            *([self.loader.line(self._fastest())] if self.loader else []),
            self._disk(pending, plan.study.folder),
            _resolution(seeds, plan.comparisons(), plan.study),
        ]

    def _race(self, plan: StudyPlan) -> str:
        """Of a race nobody knows which trials it will take."""
        speed = Speed.through(self.costs)
        each = [self._seconds(speed, flops, plan.recipe.budget) for _, flops in self.sizes.values()]
        shortest, longest = _duration(min(each)), _duration(max(each))
        takes = longest if shortest == longest else f"{shortest} to {longest}"
        return (
            f"a race of {len(plan.space)} candidates for confidence {plan.how.race:g}, or until {plan.how.budget} are "
            f"spent; a trial takes {takes} alone on {self.costs[0].device}, "
            f"{self.side_by_side} at a time"
        )

    def _seconds(self, speed: Speed, flops: int, epochs: int) -> float:
        return speed.seconds(flops, self.recipe, self.data, epochs, self.ranks, self.loader)

    def _fastest(self) -> float:
        """Images per second in training of the fastest candidate, all ranks together."""
        return max(cost.train_images_per_second for cost in self.costs) * self.ranks

    def _time(self, pending: Sequence[TrialRecord]) -> str:
        speed, rates = Speed.through(self.costs), [cost.train_images_per_second for cost in self.costs]
        left = [(self.sizes[trial.candidate][1], trial.budget - trial.epoch) for trial in pending]
        seconds = [self._seconds(speed, flops, epochs) for flops, epochs in left]
        longest = max(seconds, default=0.0)
        whole = max(sum(seconds) / self.side_by_side, longest)
        alone = f"alone on {self.costs[0].device}{f', each of {self.ranks} ranks' if self.ranks > 1 else ''}"
        return (
            f"{min(rates):,.0f} to {max(rates):,.0f} images/s in training, {alone}; "
            f"{_duration(longest)} the longest trial, {_duration(whole)} in all with {self.side_by_side} at a time; "
            "more if they slow each other down, less if rungs stop some"
        )

    def _disk(self, pending: Sequence[TrialRecord], folder: Folder) -> str:
        """One checkpoint for each trial, a second one for each that runs, and rows; beside what is free."""
        free = folder.free()
        there = f" of disk, {_bytes(free)} free" if free is not None else ""
        return f"{_bytes(self.needed(pending))}{there} in {folder}"

    def needed(self, pending: Sequence[TrialRecord]) -> int:
        """Bytes of disk that these trials take."""
        return _needed([self.sizes[trial.candidate][0] for trial in pending], self.side_by_side)


def _needed(params: Sequence[int], side_by_side: int) -> int:
    """Bytes of disk that trials of models with so many parameters take."""
    weights = sorted((number * CHECKPOINT for number in params), reverse=True)
    return sum(weights) + sum(weights[:side_by_side]) + len(weights) * ROWS


def space_needed(plan: StudyPlan, cluster: Cluster) -> str:
    """How much disk is left to be taken, and how much there is."""
    _, pending = pending_trials(plan)
    counts = count_all(_candidates(pending), *plan.shape()) if pending else {}
    params = [counts[Candidate.parse(trial.candidate)][0] for trial in pending]
    free, where = plan.study.folder.free(), plan.study.folder
    there = "" if free is None else f", {_bytes(free)} are free"
    return f"what is left takes about {_bytes(_needed(params, cluster.side_by_side))} in {where}{there}"


def _resolution(seeds: int, comparisons: int, study: Study) -> str:
    """The smallest difference to a baseline that so many seeds resolve in a table of so many comparisons."""
    if seeds < 2:
        return "one seed a candidate resolves no difference, however large: --seeds K"
    measured = pooled_sd(finished_top1(study.trials()).values())
    sd, source = (measured, "measured in this study") if measured > 0 else (ASSUMED_SD, "assumed")
    points = smallest_difference(sd, seeds, max(comparisons, 1))
    return (
        f"{seeds} seeds a candidate resolve differences of {points:.1f} points or more in {100 * POWER:.0f} % of cases "
        f"(sd {sd:.2f} between seeds, {source}; {comparisons} comparisons in the largest table)"
    )


def _duration(seconds: float) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


def _bytes(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def print_list(plan: StudyPlan, cpus: int | None, gpus: float | None) -> None:
    """Every candidate of the space with its cost, or of a large one those asked for, and what training them takes."""
    space, shape = plan.space, plan.shape()
    problems, published = space.problems(plan.recipe.img_size), set(space.published_candidates())
    asked, pending = pending_trials(plan)
    listed = plan.candidates if len(space) > LISTED else [candidate for candidate in space if candidate not in problems]
    counts = count_all(list(dict.fromkeys([*listed, *plan.candidates, *_candidates(asked)])), *shape)
    for candidate in listed:
        params, flops = counts[candidate]
        role = "published" if candidate in published else "baseline" if candidate in plan.candidates else ""
        print(f"{candidate!s:50} {params / 1e6:8.3f} M params {flops / 1e9:9.4f} GFLOPs  {role}".rstrip())
    for reason in list(problems.values())[:LISTED]:
        print(f"not built: {reason}")
    size = f"{len(problems)} that cannot be built at {plan.recipe.img_size} px"
    print(f"space {space.name}: {len(space)} candidates, {len(published)} published, {size}")
    sizes = {str(candidate): counts[candidate] for candidate in [*_candidates(asked), *plan.candidates]}
    share, side_by_side = share_here(cpus, gpus)
    try:
        costs = [
            measure(Candidate.parse(name), plan.recipe, *shape[1:], share, memory=False) for name in extremes(sizes)
        ]
    except RuntimeError as error:  # a GPU that is too small
        raise ValueError(f"costs cannot be measured: {str(error).splitlines()[0]}") from error
    decoding = decoding_speed(plan.data, plan.recipe)
    preflight = Preflight(
        plan.recipe, plan.data, sizes, costs, side_by_side, share.ranks, _loader(decoding, costs, share)
    )
    print("\n".join([*preflight.lines(asked, pending, plan), "measured on this machine; nothing was launched"]))


def print_preflight(plan: StudyPlan, asked: list[TrialRecord], pending: list[TrialRecord], cluster: Cluster) -> None:
    """What the pending trials will take."""
    if plan.data.streamed:  # until it is known how many keep up
        cluster.workers = max(cluster.share.threads - 1, int(cluster.share.device == "cuda"))
    counts = count_all(list(dict.fromkeys([*_candidates(asked), *plan.candidates])), *plan.shape())
    sizes = {str(candidate): size for candidate, size in counts.items()}
    if not (costs := measure_costs(plan, cluster, extremes(sizes))):
        return
    try:
        decoding = cluster.decoding_speed(plan.data, plan.recipe)
    except RuntimeError as error:  # an image that cannot be decoded: trials will say the same, each in its row
        decoding = None
        print(f"decoding not measured: {error}", file=sys.stderr)
    loader = _loader(decoding, costs, cluster.share)
    cluster.workers = loader.workers if loader else cluster.workers
    preflight = Preflight(plan.recipe, plan.data, sizes, costs, cluster.side_by_side, cluster.share.ranks, loader)
    print("\n".join(preflight.lines(asked, pending, plan)), flush=True)
    needed = preflight.needed(pending)
    if (free := plan.study.folder.free()) is not None and needed > free:
        raise OSError(errno.ENOSPC, f"{_bytes(free)} are free in {plan.study.folder}, {_bytes(needed)} are needed")


def _loader(decoding: float | None, costs: Sequence[Cost | CostRecord], share: Resources) -> DecodingEstimate | None:
    """Enough processes for the fastest of the measured candidates; None for images in memory."""
    if decoding is None:
        return None
    return DecodingEstimate.for_model(decoding, max(cost.train_images_per_second for cost in costs), share)


def _candidates(trials: Sequence[TrialRecord]) -> list[Candidate]:
    return [Candidate.parse(name) for name in dict.fromkeys(trial.candidate for trial in trials)]


def measure_costs(plan: StudyPlan, cluster: Cluster, candidates: Sequence[str]) -> list[CostRecord]:
    """Costs on the trials' device, one at a time while nothing else runs; what the study knows is not done again."""
    known: dict[str, CostRecord] = {}
    try:
        device = cluster.device()
        known |= {record.candidate: record for record in plan.study.records(CostRecord) if record.device == device}
        for name in [name for name in candidates if name not in known]:
            cost = cluster.measure(Candidate.parse(name), plan.recipe, *plan.shape()[1:])
            key = f"{name}--{plan.recipe.img_size}px--{re.sub('[^a-z0-9]+', '-', device.lower())}"
            known[name] = CostRecord(key=key, candidate=name, img_size=plan.recipe.img_size, **asdict(cost))
            plan.study.write("costs", key, [known[name]])
    except RuntimeError as error:  # its trials will say the same, each in its row
        print(f"costs not measured: {error}", file=sys.stderr)
    return [known[name] for name in candidates if name in known]


def extremes(sizes: Mapping[str, tuple[int, int]]) -> list[str]:
    """The candidates with the fewest and the most FLOPs: what must be measured. `sizes`: parameters and FLOPs."""
    cheapest, dearest = (pick(sizes, key=lambda name: sizes[name][1]) for pick in (min, max))
    return list(dict.fromkeys([cheapest, dearest]))
