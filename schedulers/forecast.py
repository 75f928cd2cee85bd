"""How a row will end against its baseline, forecast from learning curves at a rung.

A curve says three things at a rung: its level (mean of the last third of the epochs since the warm-up), its gain
(level minus the mean of the third before) and its jitter (how far single epochs lie from their neighbours). The
forecast starts from the difference of the two levels; a row that gains faster is credited with half of that lead. The
uncertainty has three parts: the noise between seeds; what a lower learning rate may still bring to a curve that
jitters; and drift, a share of the gain that is still to come. That share is learnt from how differently the curves of
the study rise, and from how those which have ended went on after the rung. A row that has not come half of the way to
its baseline's level is not judged in the first half of the training: some such rows start late and win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Curves = Mapping[str, Sequence[Sequence[float]]]  # by candidate: top-1 in percent by epoch, of each seed

MIN_EPOCHS = 9  # since the warm-up: three for each third


@dataclass(frozen=True, kw_only=True)
class ForecastPrior:
    """What is assumed of curves before those of the study are known.

    Tuned on the sets `placements`, `mlp`, `mlp cosine` and `plateaus` of `python -m benchmarks.futility`, and on other
    draws of `simulated` than it shows.
    """

    drift: float = 0.5  # share of the gain that is still to come; with .35 there are twice as many errors
    drift_weight: int = 4  # curves that this share counts for
    annealing: float = 0.5  # share of the jitter that a lower learning rate may bring; .3 to .7 change nothing
    seed_noise: float = 1.0  # share of the jitter that is noise between seeds
    seed_weight: int = 3  # degrees of freedom that this share counts for
    # Share of the way from a row's first epoch to its baseline's level. Chosen after the replay had wrongly stopped 4
    # of 178 rows of `plateaus` and 2 of 185 of `mlp`; with it none.
    slow_start: float = 0.5


PRIOR = ForecastPrior()


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The difference of a row to its baseline at the end of training, in percentage points of top-1."""

    baseline: str
    epoch: int  # of the rung
    difference: float
    low: float  # 95 % interval of the difference
    high: float
    p_worse: float  # probability that the row ends below its baseline by more than the margin
    seeds: int
    baseline_seeds: int


@dataclass(frozen=True)
class _Shape:
    """What the curves of one candidate say at a rung, in points of top-1."""

    levels: Floats  # (seeds,)
    first: float  # top-1 of the first epoch, mean over seeds
    gain: float  # mean over seeds
    jitter: float

    @property
    def level(self) -> float:
        return float(self.levels.mean())


@dataclass(frozen=True)
class Horizon:
    """The rung at which curves are read, the epochs that are left out before, and the last epoch of the training."""

    epoch: int
    start: int
    budget: int

    @property
    def third(self) -> int:
        """Epochs of a third of the epochs that count."""
        return (self.epoch - self.start) // 3

    @property
    def is_early(self) -> bool:
        """Whether less than half of the epochs that count are over."""
        return 2 * (self.epoch - self.start) < self.budget - self.start

    @property
    def steps(self) -> float:
        """How many gains as large as the last are still to come if top-1 grows with the logarithm of the epochs."""
        compared = self.epoch - self.start
        return float(np.log((self.budget - self.start) / (5 / 6 * compared)) / np.log(5 / 3))


def forecast(curves: Curves, row: str, baseline: str, horizon: Horizon, margin: float) -> Forecast | None:
    """The forecast for `row`, or None while it may just be a slow starter.

    `curves` holds all candidates of the study that reached the rung, these two included.
    """
    shapes = {candidate: _shape(seeds, horizon) for candidate, seeds in curves.items()}
    ours = shapes[row]
    theirs = shapes[baseline]
    if horizon.is_early and ours.level - ours.first < PRIOR.slow_start * (theirs.level - ours.first):
        return None
    catching_up = max(ours.gain - theirs.gain, 0.0)
    difference = ours.level - theirs.level + 0.5 * catching_up * horizon.steps
    shares = _drift_shares(curves, shapes, baseline, horizon)
    sd = _standard_deviation(shapes, ours, theirs, shares, horizon)
    freedom = PRIOR.drift_weight + len(shares)
    half_width = sd * float(special.stdtrit(freedom, 0.975))
    return Forecast(
        baseline=baseline,
        epoch=horizon.epoch,
        difference=difference,
        low=difference - half_width,
        high=difference + half_width,
        p_worse=float(special.stdtr(freedom, (-margin - difference) / sd)),
        seeds=len(ours.levels),
        baseline_seeds=len(theirs.levels),
    )


def _shape(seeds: Sequence[Sequence[float]], horizon: Horizon) -> _Shape:
    """Level, rise, gain and jitter of one candidate from all its seeds."""
    third = horizon.third
    recent = np.array([curve[horizon.epoch - 2 * third : horizon.epoch] for curve in seeds], dtype=np.float64)
    levels = recent[:, third:].mean(axis=1)
    second_differences = np.diff(recent, n=2, axis=1)
    return _Shape(
        levels=levels,
        first=float(np.mean([curve[0] for curve in seeds])),
        gain=float(levels.mean() - recent[:, :third].mean()),
        jitter=float(np.sqrt(np.mean(second_differences**2) / 6)),
    )


def _standard_deviation(
    shapes: Mapping[str, _Shape], ours: _Shape, theirs: _Shape, shares: Sequence[float], horizon: Horizon
) -> float:
    """The standard deviation of the difference at the end, in points; `shares` are those of `_drift_shares`."""
    squares = [PRIOR.drift**2] * PRIOR.drift_weight
    squares.extend(share**2 for share in shares)
    typical_share = float(np.sqrt(np.mean(squares)))
    share = max(typical_share, _share_of_gain(ours, theirs))
    drift = share * _larger_gain(ours, theirs) * horizon.steps
    jitter = max(ours.jitter, theirs.jitter)
    of_means = _seed_variance(shapes, jitter) * (1 / len(ours.levels) + 1 / len(theirs.levels))
    return float(np.sqrt(drift**2 + (PRIOR.annealing * jitter) ** 2 + of_means))


def _larger_gain(shape: _Shape, other: _Shape) -> float:
    """The gain of the curve that still rises faster, in points; never 0."""
    return max(shape.gain, other.gain, 1e-6)


def _share_of_gain(shape: _Shape, other: _Shape) -> float:
    """By how much two gains differ, as a share of the larger one, at most 1."""
    return min(abs(shape.gain - other.gain) / _larger_gain(shape, other), 1.0)


def _drift_shares(curves: Curves, shapes: Mapping[str, _Shape], baseline: str, horizon: Horizon) -> list[float]:
    """By which share of the gain each candidate's difference to the baseline changes, at most 1.

    It is measured after the rung where both have ended, otherwise over the last two thirds before the rung.
    """
    theirs = shapes[baseline]
    baseline_change = _change_after(curves[baseline], horizon)
    shares = []
    for candidate, shape in shapes.items():
        if candidate == baseline:
            continue
        share = _share_of_gain(shape, theirs)
        change = _change_after(curves[candidate], horizon)
        if change is not None and baseline_change is not None:
            expected_gain = _larger_gain(shape, theirs) * horizon.steps
            share = min(abs(change - baseline_change) / expected_gain, 1.0)
        shares.append(share)
    return shares


def _change_after(seeds: Sequence[Sequence[float]], horizon: Horizon) -> float | None:
    """How much the curves that have ended rose from the rung's level to their end, in points; None if none has."""
    changes = []
    for curve in seeds:
        if len(curve) >= horizon.budget:
            level = np.mean(curve[horizon.epoch - horizon.third : horizon.epoch])
            changes.append(curve[-1] - level)
    return float(np.mean(changes)) if changes else None


def _seed_variance(shapes: Mapping[str, _Shape], jitter: float) -> float:
    """Variance between seeds of one candidate, from those that have several and, as a start, from the jitter."""
    squares = PRIOR.seed_weight * (PRIOR.seed_noise * jitter) ** 2
    freedom = PRIOR.seed_weight
    for shape in shapes.values():
        squares += float(np.sum((shape.levels - shape.level) ** 2))
        freedom += len(shape.levels) - 1
    return squares / freedom
