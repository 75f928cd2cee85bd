"""What the runs of a race say about the true top-1 of every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schedulers.encoded_space import EncodedSpace, Floats, Ints
from schedulers.race_prior import RaceCovariance, axis_distances, learn_prior
from schedulers.race_seeds import SeedMeans
from schedulers.samplers.gp_posterior import ObservedMean, Posterior


@dataclass(frozen=True, eq=False)
class JointPosterior:
    """Mean and covariance of the true top-1 of the candidates that are looked at; places count among these."""

    candidates: Ints  # (m,) ascending
    mean: Floats  # (m,) percent
    covariance: Floats  # (m, m)
    seed_sd: float
    degrees_of_freedom: float  # of the seeds' standard deviation

    def difference_variances(self, leader: int) -> Floats:
        """(m,): variances of the differences to the leader."""
        variances_of_all = np.diagonal(self.covariance)
        with_leader = self.covariance[leader]
        variances = variances_of_all + with_leader[leader] - 2 * with_leader
        return np.clip(variances, 1e-12, None)

    def tie_densities(self, leader: int, variances: Floats) -> Floats:
        """(m,): density of a tie with the leader relative to the largest, given the variances of the differences."""
        lead = self.mean[leader] - self.mean
        freedom = self.degrees_of_freedom
        exponent = -(freedom + 1) / 2
        return (1 + lead**2 / variances / freedom) ** exponent

    def doubts(self, leader: int, relevant: float = 2.0) -> Floats:
        """(m,): odds of a tie with the leader against a difference of about `relevant` seed standard deviations.

        At most 1, and 0 for the leader itself. With `relevant=1` ties were declared too often.
        """
        variances = self.difference_variances(leader)
        bayes_factors = np.sqrt(1 + (relevant * self.seed_sd) ** 2 / variances)
        doubts = np.minimum(bayes_factors * self.tie_densities(leader, variances), 1.0)
        doubts[leader] = 0.0
        doubts[self.mean > self.mean[leader]] = 1.0
        return doubts


class RaceModel:
    """A Gaussian process over the candidates whose prior is learned from the runs.

    Of more than `max_candidates` it looks at those most likely to be best. The prior is learned from at most
    `max_fitted` of the candidates that have run, spread over the range of their means.
    """

    def __init__(
        self, space: EncodedSpace, seeds: SeedMeans, *, max_candidates: int = 256, max_fitted: int = 150
    ) -> None:
        by_mean = np.argsort(seeds.means, kind="stable")
        selected = np.linspace(0, len(by_mean) - 1, max_fitted).astype(int)
        fitted = seeds.subset(by_mean[np.unique(selected)])
        self.space = space
        self.seeds = seeds
        self.prior = learn_prior(axis_distances(space, fitted.candidates, fitted.candidates), fitted)
        self.candidates = np.arange(len(space))
        if len(space) > max_candidates:
            self.candidates = self._most_promising(fitted, max_candidates)

    def posterior(self, running: Sequence[int] = ()) -> JointPosterior:
        """Given all runs. Trials that are `running` (one candidate each) reduce the variances, not the means."""
        members = np.union1d(self.candidates, self.seeds.candidates)
        process, mean = self._condition(members, self.seeds)
        active = [candidate for candidate in running if candidate in self.candidates]
        for place in np.searchsorted(members, active).tolist():
            process.append(ObservedMean(place, seeds=1))
        places = np.searchsorted(members, self.candidates)
        covariance = process.joint_covariance(places)
        return JointPosterior(self.candidates, mean[places], covariance, self.seeds.sd, self.seeds.degrees_of_freedom)

    def _most_promising(self, fitted: SeedMeans, number: int) -> Ints:
        """The candidates with the highest mean + 3 standard deviations, the best of those that have run included."""
        process, mean = self._condition(np.arange(len(self.space)), fitted)
        upper = mean + 3 * process.sd()
        best_run = self.seeds.candidates[np.argmax(mean[self.seeds.candidates])]
        upper[best_run] = np.inf
        return np.sort(np.argsort(-upper, kind="stable")[:number])

    def _condition(self, members: Ints, seeds: SeedMeans) -> tuple[Posterior, Floats]:
        """The process over these candidates after the runs, and its means (members,) in percent."""
        covariance = RaceCovariance(self.space, members, self.prior, seeds.sd)
        places = np.searchsorted(members, seeds.candidates)
        observed = []
        for place, count in zip(places, seeds.counts, strict=True):
            observed.append(ObservedMean(int(place), int(count)))
        process = Posterior(covariance, observed)
        centre = seeds.means.mean()
        known = np.ones(len(observed), dtype=bool)
        means = process.mean((seeds.means - centre)[:, None], known)
        return process, centre + means[0]
