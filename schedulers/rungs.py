"""Rungs: epochs at which trials pause, and the stopping rules that decide which paused trial is promoted.

Rungs are of the promotion type: every trial pauses at each rung and goes on when it is promoted, so one worker compares
as many trials as many workers do. A rung compares the mean of a trial's top-1 since the rung before (as Vizier's median
rule compares running means), because a single early epoch is mostly noise. Once all places of a rung are taken, a trial
must beat the last holder by more than the remaining noise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from schedulers import pareto
from schedulers.search import TrialName

Curves = Mapping[TrialName, Sequence[float]]  # validation top-1 in percent by epoch; trials in the order they began
MIN_SAMPLES = 3  # fewer trials or degrees of freedom give no usable median, slope or standard deviation


@dataclass(frozen=True)
class Rungs:
    """The base of all stopping rules. By itself it is the rule "none": trials run to the budget without a pause.

    `levels` are the epochs of the rungs, ascending, and last the budget. No rung compares the first `start` epochs,
    the warm-up. With `costs` (by candidate, lower is better) a rung ranks trials by Pareto layers of top-1 and cost
    instead of top-1 alone.
    """

    levels: tuple[int, ...]
    reduction_factor: int = 3
    start: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)

    def first_pause(self) -> int:
        """The epoch at which a new trial pauses for the first time."""
        return self.levels[-1]

    def next_pause(self, epochs: int) -> int:
        """The epoch at which a trial that has run `epochs` pauses next; the budget if there is no such rung."""
        for level in self.levels:
            if level > epochs:
                return level
        return self.levels[-1]

    def promote(self, curves: Curves, paused: Collection[TrialName]) -> TrialName | None:
        """The paused trial that is promoted next, or None."""
        return next(iter(paused), None)

    def paused_leader(self, curves: Curves, paused: Collection[TrialName]) -> TrialName | None:
        """The best trial of the highest rung reached, if it is paused; otherwise None."""
        for level in reversed(self.levels):
            ranking = self.rank(self.scores_at(curves, level))
            if ranking:
                return ranking[0] if ranking[0] in paused else None
        return None

    def best_paused(self, curves: Curves, paused: Collection[TrialName]) -> TrialName | None:
        """The best paused trial of the highest rung at which any trial is paused, or None."""
        if not paused:
            return None
        level = max(len(curves[name]) for name in paused)
        ranking = self.rank(self.scores_at(curves, level))
        return next(name for name in ranking if name in paused)

    def previous_level(self, level: int) -> int:
        """The epoch of the rung below a level; below the first rung, the last epoch that no rung compares."""
        below = [other for other in self.levels if other < level]
        return max(below, default=self.start)

    def scores_at(self, curves: Curves, level: int) -> dict[TrialName, float]:
        """What a rung compares, in percent: the mean top-1 since the rung before; at the budget, the last epoch's.

        Only for the trials that have reached the level.
        """
        is_budget = level == self.levels[-1]
        first_epoch = level - 1 if is_budget else self.previous_level(level)
        scores = {}
        for name, curve in curves.items():
            if len(curve) >= level:
                scores[name] = float(np.mean(curve[first_epoch:level]))
        return scores

    def rank(self, scores: Mapping[TrialName, float]) -> list[TrialName]:
        """Trials from best to worst; of equals, the one that began first."""
        if not self.costs:
            return sorted(scores, key=lambda name: -scores[name])
        names = list(scores)
        objectives = np.empty((len(names), 2))
        for row, name in enumerate(names):
            objectives[row] = scores[name], -self.costs[name.candidate]
        layer = dict(zip(names, pareto.layers(objectives), strict=True))
        return sorted(names, key=lambda name: (layer[name], -scores[name]))

    def noise(self, curves: Curves, level: int) -> float:
        """Standard deviation, in points, of a difference between two trials at a rung.

        It is measured on the seeds of one candidate where there are enough of them, otherwise on how the curves jump
        from epoch to epoch around the rung. 0 if there is neither.
        """
        scores = self.scores_at(curves, level)
        by_candidate: defaultdict[str, list[float]] = defaultdict(list)
        for name, score in scores.items():
            by_candidate[name.candidate].append(score)
        degrees_of_freedom = len(scores) - len(by_candidate)
        if degrees_of_freedom < MIN_SAMPLES:
            return self._noise_within_curves(curves, level)
        residuals: list[float] = []
        for seeds in by_candidate.values():
            mean = np.mean(seeds)
            residuals.extend(float(score - mean) for score in seeds)
        variance = np.sum(np.square(residuals)) / degrees_of_freedom
        return float(np.sqrt(2 * variance))

    def _noise_within_curves(self, curves: Curves, level: int) -> float:
        """The same from second differences around the rung, less what is common to all curves."""
        if level < 2:
            return 0.0
        windows = []
        for curve in curves.values():
            if len(curve) > level:
                windows.append(curve[level - 2 : level + 1])
        if len(windows) < MIN_SAMPLES:
            return 0.0
        averaged_epochs = level - self.previous_level(level)
        second_differences = np.diff(np.array(windows), n=2)
        return float(second_differences.std(ddof=1) / np.sqrt(3 * averaged_epochs))


class Asha(Rungs):
    """Promotes the top 1/reduction_factor of each rung, the highest rung first (arXiv 1810.05934, algorithm 2)."""

    def first_pause(self) -> int:
        return self.levels[0]

    def promote(self, curves: Curves, paused: Collection[TrialName]) -> TrialName | None:
        for level in reversed(self.levels[:-1]):
            paused_at_level = {name for name in paused if len(curves[name]) == level}
            promoted = self._promote_from(level, curves, paused_at_level)
            if promoted:
                return promoted
        return None

    def _promote_from(self, level: int, curves: Curves, paused: Collection[TrialName]) -> TrialName | None:
        scores = self.scores_at(curves, level)
        ranking = self.rank(scores)
        places = len(ranking) // self.reduction_factor
        promotable = [name for name in ranking[:places] if name in paused]
        if not promotable:
            return None
        best = promotable[0]
        holders = [name for name in ranking if name not in paused]  # trials that were promoted from here before
        if len(holders) < places or self.costs:
            return best
        last_holder = holders[places - 1]
        if scores[best] > scores[last_holder] + self.noise(curves, level):
            return best
        return None


class Median(Rungs):
    """Promotes trials that are not below the median of the others at their rung (Vizier, KDD 2017, section 3.2.2)."""

    def first_pause(self) -> int:
        return self.levels[0]

    def promote(self, curves: Curves, paused: Collection[TrialName]) -> TrialName | None:
        for name in paused:
            scores = self.scores_at(curves, len(curves[name]))
            others = [score for other, score in scores.items() if other != name]
            if len(others) < MIN_SAMPLES or scores[name] >= np.median(others):
                return name
        return None


RULES: dict[str, type[Rungs]] = {"asha": Asha, "median": Median, "none": Rungs}


def comparable_top1(rungs: Rungs, curves: Curves) -> dict[TrialName, float]:
    """Expected top-1, in percent, of every trial at the highest rung that any has reached.

    This makes trials of different lengths comparable. Scores are carried from one rung to the next along the
    least-squares line through the trials that reached both. Its slope is clipped to [0, 1], because early leads shrink.
    Trials below the first rung are left out.
    """
    reached_levels = []
    scores_by_level = {}
    for level in rungs.levels:
        scores = rungs.scores_at(curves, level)
        if scores:
            reached_levels.append(level)
            scores_by_level[level] = scores
    if not reached_levels:
        return {}
    expected = dict(scores_by_level[reached_levels[0]])
    for low, high in pairwise(reached_levels):
        low_scores = scores_by_level[low]
        high_scores = scores_by_level[high]
        pairs = [(low_scores[name], high_score) for name, high_score in high_scores.items()]
        slope, offset = _fit_line(pairs)
        for name, score in expected.items():
            expected[name] = high_scores.get(name, offset + slope * score)
    return expected


def _fit_line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and offset of the least-squares line; slope 1 if the pairs do not determine it."""
    x, y = np.array(pairs).T
    slope = 1.0
    if len(pairs) >= MIN_SAMPLES and np.ptp(x) > 0:
        fitted_slope, _ = np.polyfit(x, y, 1)
        slope = float(np.clip(fitted_slope, 0, 1))
    offset = float(y.mean() - slope * x.mean())
    return slope, offset
