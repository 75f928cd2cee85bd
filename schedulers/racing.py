"""Racing: which candidate gets one more seed, until one of them is known to be the best.

The model: a candidate's top-1 is a smooth function of its levels, plus an individual deviation, plus the noise of the
seed. How much each counts is learned from the runs; where neighbours say nothing about each other, the race is one of
unrelated candidates.

The decision: the doubt about a rival is the odds of a tie with the leader against a difference, the inverse of an
e-value (Robbins, Annals of Mathematical Statistics 41, 1970; Grünwald et al., JRSS B 86, 2024). It is anytime-valid: a
t-test or a probability of being best, looked at after every run, would sooner or later name one of two equals; this
does so with a probability of at most 1 - confidence. A candidate that was never run can be ruled out by the results of
its neighbours alone, so a race can miss a good candidate among bad neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schedulers.encoded_space import Bools, EncodedSpace
from schedulers.race_posterior import JointPosterior, RaceModel
from schedulers.race_prior import axis_distances
from schedulers.race_seeds import Runs, SeedMeans


@dataclass(frozen=True)
class RaceState:
    """How a race stands after the runs so far."""

    leader: int | None  # None before the first run has ended
    confidence: float  # that the leader is the best
    contenders: tuple[int, ...]  # still in the race: the leader first, then the others by falling doubt
    sd: float  # between seeds, in points
    decided: bool


@dataclass(frozen=True)
class Race:
    """Gives seeds to the candidates where they reduce the doubt about the leader most.

    It is decided when the leader is the best with the confidence asked for.
    """

    confidence: float = 0.95

    def next_candidate(self, space: EncodedSpace, runs: Runs, running: Sequence[int]) -> int | None:
        """The candidate that gets one more seed, or None when the race is decided.

        `runs` are top-1 in percent by candidate, 0 for a run that diverged; `running` names one candidate a trial.
        """
        seeds = SeedMeans.of(runs)
        begun = set(seeds.candidates.tolist()) | set(running)
        if len(begun) < _initial_candidates(space):
            return _farthest(space, begun)
        if not len(seeds.candidates):
            return min(running, key=running.count)
        model = RaceModel(space, seeds)
        posterior = model.posterior()
        state = self._state(posterior, space, seeds)
        if state.decided:
            return None
        if running:
            posterior = model.posterior(running)
        racing = np.isin(posterior.candidates, state.contenders)
        return int(posterior.candidates[_most_informative(posterior, racing)])

    def state(self, space: EncodedSpace, runs: Runs) -> RaceState:
        """Leader, confidence and contenders after these runs."""
        seeds = SeedMeans.of(runs)
        if not len(seeds.candidates):
            everyone = tuple(range(len(space)))
            return RaceState(leader=None, confidence=0.0, contenders=everyone, sd=float("nan"), decided=False)
        return self._state(RaceModel(space, seeds).posterior(), space, seeds)

    def _state(self, posterior: JointPosterior, space: EncodedSpace, seeds: SeedMeans) -> RaceState:
        has_run = np.isin(posterior.candidates, seeds.candidates)
        means = np.where(has_run, posterior.mean, -np.inf)
        place = int(np.argmax(means))
        leader = int(posterior.candidates[place])
        doubts = posterior.doubts(place)
        confidence = float(np.prod(1 - doubts))
        by_doubt = np.argsort(-doubts, kind="stable")
        in_race = doubts[by_doubt] > (1 - self.confidence) / len(space)
        rivals = posterior.candidates[by_doubt[in_race]].tolist()
        return RaceState(
            leader=leader,
            confidence=confidence,
            contenders=(leader, *rivals),
            sd=seeds.sd,
            decided=confidence >= self.confidence,
        )


def _initial_candidates(space: EncodedSpace) -> int:
    """How many candidates run once before the model is used: a quarter, but at least 3 and at most 32."""
    quarter = math.ceil(len(space) / 4)
    bounded = min(max(quarter, 3), 32)
    return min(bounded, len(space))


def _farthest(space: EncodedSpace, begun: set[int]) -> int:
    """The candidate farthest from all that have begun."""
    if not begun:
        return 0
    everyone = np.arange(len(space))
    distances = axis_distances(space, everyone, np.array(sorted(begun)))
    closeness = (0.5**distances).sum(axis=1)
    return int(np.argmin(closeness))


def _most_informative(posterior: JointPosterior, racing: Bools) -> int:
    """Place of the racing candidate whose next run leaves the least doubt about the leader, if no mean changes."""
    leader = int(np.argmax(posterior.mean))
    covariance = posterior.covariance
    # By [i, j]: by how much a run of candidate i reduces the variance of the difference between j and the leader.
    run_variance = np.diagonal(covariance)[:, None] + posterior.seed_sd**2
    reduction = (covariance[:, [leader]] - covariance) ** 2 / run_variance
    variances = np.clip(posterior.difference_variances(leader) - reduction, 1e-12, None)
    # Scaled by the standard deviation; otherwise more runs of two equal candidates would seem to increase the doubt.
    doubt = (np.sqrt(variances) * posterior.tie_densities(leader, variances)).sum(axis=1)
    return int(np.argmin(np.where(racing, doubt, np.inf)))
