"""Which paused trial goes on: rungs of the promotion type, as plain functions of learning curves.

A trial pauses at each rung and goes on when it is promoted, so that one worker compares as many trials as many do.
A rung compares the mean of a trial's top-1 since the rung before (as Vizier's median rule compares running means),
because one early epoch is mostly noise; a place that is taken changes hands only for more than the noise that is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

Curves = Mapping[Any, Sequence[float]]  # validation top-1 in percent by epoch; by trial, in the order of their start
ENOUGH = 3  # trials or degrees of freedom from which on a median or a deviation says something


@dataclass(frozen=True)
class Rungs:
    """The epochs at which trials pause, ascending, then the budget. The base of all stopping rules; by itself: none.

    `arms` names the candidate of each trial, so that repeated seeds show the noise. `costs` by trial, lower is better:
    a rung then ranks by Pareto layers of top-1 and cost instead of top-1 alone.
    """

    levels: tuple[int, ...]
    factor: int = 3
    arms: Mapping[Any, str] = field(default_factory=dict)
    costs: Mapping[Any, float] = field(default_factory=dict)

    def first(self) -> int:
        """Epochs of a trial before its first pause."""
        return self.levels[-1]

    def following(self, epochs: int) -> int:
        """The end of the stretch that a trial of so many epochs is in."""
        return next((level for level in self.levels if level > epochs), self.levels[-1])

    def promoted(self, curves: Curves, paused: Collection[Any]) -> Any:
        """The paused trial that goes on next, or None if none does."""
        return next(iter(paused), None)

    def last(self, curves: Curves, paused: Collection[Any]) -> Any:
        """The leader, if it pauses: it goes on when nothing else is left, so that a search ends with a result."""
        top = max((level for level in self.levels if self.reached(curves, level)), default=0)
        leader = next(iter(self.ranked(self.reached(curves, top))), None)
        return leader if leader in paused else None

    def further(self, curves: Curves, paused: Collection[Any]) -> Any:
        """The best of the highest rung where any pauses: it goes on when a budget is left."""
        if not paused:
            return None
        values = self.reached(curves, max(len(curves[key]) for key in paused))
        return next(key for key in self.ranked(values) if key in paused)

    def before(self, level: int) -> int:
        """The rung below, or 0."""
        return max((other for other in self.levels if other < level), default=0)

    def reached(self, curves: Curves, level: int) -> dict[Any, float]:
        """What is compared at a rung: each trial's mean since the rung before; at the budget, its last epoch."""
        first = level - 1 if level == self.levels[-1] else self.before(level)
        return {key: float(np.mean(curve[first:level])) for key, curve in curves.items() if len(curve) >= level}

    def ranked(self, values: Mapping[Any, float]) -> list[Any]:
        """Trials, the best first; of equals the one that began first."""
        layer = _layers(values, self.costs) if self.costs else dict.fromkeys(values, 0)
        return sorted(values, key=lambda key: (layer[key], -values[key]))

    def noise(self, curves: Curves, level: int) -> float:
        """Standard deviation in points of a difference between trials at a rung.

        From seeds of one candidate where there are enough, else from how curves jump from epoch to epoch around the
        rung (second differences, without what is common to all). 0 while there is neither.
        """
        values, groups = self.reached(curves, level), defaultdict(list)
        for key, value in values.items():
            groups[self.arms.get(key, key)].append(value)
        residuals = [value - np.mean(group) for group in groups.values() for value in group]
        if (freedom := len(values) - len(groups)) >= ENOUGH:
            return float(np.sqrt(2 * np.sum(np.square(residuals)) / freedom))
        around = np.array([curve[level - 2 : level + 1] for curve in curves.values() if len(curve) > level >= 2])
        if len(around) < ENOUGH:
            return 0.0
        averaged = level - self.before(level)
        return float(np.diff(around, n=2).std(ddof=1) / np.sqrt(3 * averaged))


class Asha(Rungs):
    """Promotes what is in the top 1/factor of its rung, from the highest rung down (arXiv 1810.05934, algorithm 2)."""

    def first(self) -> int:
        return self.levels[0]

    def promoted(self, curves: Curves, paused: Collection[Any]) -> Any:
        for level in reversed(self.open(curves)):
            if found := self._at(level, curves, {key for key in paused if len(curves[key]) == level}):
                return found
        return None

    def open(self, curves: Curves) -> tuple[int, ...]:
        """The rungs that may be left upwards."""
        return self.levels[:-1]

    def _at(self, level: int, curves: Curves, here: Collection[Any]) -> Any:
        values = self.reached(curves, level)
        order = self.ranked(values)
        places = len(order) // self.factor
        best = next((key for key in order[:places] if key in here), None)
        holders = [key for key in order if key not in here]
        if best is None or len(holders) < places or self.costs:
            return best
        return best if values[best] > values[holders[places - 1]] + self.noise(curves, level) else None


class Pasha(Asha):
    """ASHA that opens its next rung only where the ranking still changes by more than noise (arXiv 2207.06940)."""

    def open(self, curves: Curves) -> tuple[int, ...]:
        for count in range(1, len(self.levels) - 1):
            low, high = self.levels[count - 1 : count + 1]
            if not _contradicts(self.reached(curves, low), self.reached(curves, high), self.noise(curves, high)):
                return self.levels[:count]
        return self.levels[:-1]


class Median(Rungs):
    """Promotes what is not below the median of the others at its rung (Golovin et al., Vizier, section 3.2.2)."""

    def first(self) -> int:
        return self.levels[0]

    def promoted(self, curves: Curves, paused: Collection[Any]) -> Any:
        for key in paused:
            values = self.reached(curves, len(curves[key]))
            others = [value for other, value in values.items() if other != key]
            if len(others) < ENOUGH or values[key] >= np.median(others):
                return key
        return None


RULES: dict[str, type[Rungs]] = {"asha": Asha, "pasha": Pasha, "median": Median, "none": Rungs}


def comparable(rungs: Rungs, curves: Curves) -> dict[Any, float]:
    """Top-1 of trials of different lengths on one scale: what each is expected to have at the highest rung reached.

    From rung to rung by the least-squares line through the trials that reached both; its slope is within 0 and 1,
    because what leads early leads by less later. Trials below the first rung have none yet.
    """
    values = {level: rungs.reached(curves, level) for level in rungs.levels}
    reached = [level for level in rungs.levels if values[level]]
    shown = dict(values[reached[0]]) if reached else {}
    for low, high in pairwise(reached):
        slope, offset = _line([(values[low][key], value) for key, value in values[high].items()])
        shown = {key: values[high].get(key, offset + slope * value) for key, value in shown.items()}
    return shown


def _line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and offset; a mere shift where too few pairs, or all alike, say nothing of a slope."""
    x, y = np.array(pairs).T
    told = len(pairs) >= ENOUGH and np.ptp(x) > 0
    slope = float(np.clip(np.polyfit(x, y, 1)[0], 0, 1)) if told else 1.0
    return slope, float(y.mean() - slope * x.mean())


def _contradicts(low: Mapping[Any, float], high: Mapping[Any, float], margin: float) -> bool:
    """Whether a pair changes its order between two rungs by more than the margin."""
    order = sorted(high, key=lambda key: low[key])
    best_below = -np.inf
    for key in order:
        if high[key] < best_below - margin:
            return True
        best_below = max(best_below, high[key])
    return False


def _layers(values: Mapping[Any, float], costs: Mapping[Any, float]) -> dict[Any, int]:
    """The Pareto layer of each trial, 0 for the front: higher top-1, lower cost."""
    left, number = dict(values), 0
    layers: dict[Any, int] = {}
    while left:
        front, best = [], -np.inf
        for key in sorted(left, key=lambda key: (costs[key], -left[key])):
            if left[key] > best:
                front.append(key)
                best = left[key]
        layers |= dict.fromkeys(front, number)
        left = {key: value for key, value in left.items() if key not in layers}
        number += 1
    return layers
