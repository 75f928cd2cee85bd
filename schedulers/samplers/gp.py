"""Bayesian optimisation: the candidate of which a Gaussian process expects the largest improvement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schedulers.encoded_space import Bools, EncodedSpace, Floats, Observations
from schedulers.samplers.expected_improvement import expected_gain
from schedulers.samplers.gp_covariance import FeatureCovariance
from schedulers.samplers.gp_features import Features
from schedulers.samplers.gp_posterior import ObservedMean, Posterior
from schedulers.samplers.history import IndexedValue, best_observed, ended_values, proposal_rng, unseen_mask

MIN_VALUES = 2  # values needed to fit the covariance


class GP:
    """Expected improvement over every unseen candidate; in hypervolume where candidates have costs.

    The standard deviation of the posterior is multiplied by `doubt`, because one fitted covariance of many possible
    ones is overconfident. With 2 instead of 1 the regret after 100 trials of NAS-Bench-201 on CIFAR-10 falls from .10
    to .06 points (60 searches, standard errors .02) and is no higher after 10 to 50
    (`python -m benchmarks.search_efficiency`).

    A proposal depends on the seed and the observations alone. State kept between proposals only saves time.
    """

    def __init__(self, seed: int = 0, doubt: float = 2.0) -> None:
        self.seed = seed
        self.doubt = doubt
        self._space: EncodedSpace | None = None
        self._fitted_to: tuple[list[IndexedValue], list[ObservedMean]] | None = None
        self._features: Features
        self._posterior: Posterior

    def propose(self, space: EncodedSpace, observations: Observations) -> int | None:
        """Proposes candidates of rare levels first, until there are enough values for a model."""
        rng = proposal_rng(self.seed, observations)
        unseen = unseen_mask(space, observations)
        if not unseen.any():
            return None
        ended = sum(observation.status == "ended" for observation in observations)
        if len(observations) < _initial_proposals(space) or ended < MIN_VALUES:
            return _rarest_levels(space, observations, unseen, rng)
        means, sd = self._predict(space, observations)
        observed = np.array([index for index, _ in ended_values(observations)])
        gains = np.zeros(len(space))
        for mean in means:
            gains += expected_gain(space, mean, self.doubt * sd, observed)
        return _largest_gain(gains, unseen, rng)

    def recommend(self, space: EncodedSpace, observations: Observations) -> int:
        """The candidate with the highest posterior mean among those with a top-1. Raises ValueError before any."""
        best = best_observed(observations)
        ended = [observation.index for observation in observations if observation.status == "ended"]
        if len(ended) < MIN_VALUES:
            return best
        means, _ = self._predict(space, observations)
        return ended[int(np.argmax(means.mean(axis=0)[ended]))]

    def _predict(self, space: EncodedSpace, observations: Observations) -> tuple[Floats, Floats]:
        """Posterior means (scales, candidates) and standard deviation (candidates,)."""
        if self._space is not space:
            self._space = space
            self._features = Features.of(space)
            self._fitted_to = None
        known = np.array([observation.status != "running" for observation in observations])
        values = ended_values(observations)
        observed = [ObservedMean(observation.index, observation.seeds) for observation in observations]
        fit_size = _last_fit_size(len(values))
        block_size = int(np.flatnonzero(known)[fit_size - 1]) + 1
        self._update_posterior(values[:fit_size], observed[:block_size], observed[block_size:])
        means = self._posterior.mean(standardised_scales(values), known)
        return means.astype(float), self._posterior.sd()

    def _update_posterior(
        self, values: list[IndexedValue], block: list[ObservedMean], rest: list[ObservedMean]
    ) -> None:
        """Fit the covariance to the values; condition on the block at once and on the rest one by one.

        It is always done in that order, so that a restarted search has the same rounding errors.
        """
        observed = block + rest
        done = self._posterior.observed if self._fitted_to is not None else []
        if self._fitted_to != (values, block) or done != observed[: len(done)]:
            from schedulers.samplers.gp_kernel import fit  # imports scikit-learn, which takes a second

            rows = self._features.rows[[index for index, _ in values]]
            hyperparameters = fit(rows, self._features.term, standardised_scales(values))
            self._fitted_to = (values, block)
            self._posterior = Posterior(FeatureCovariance(self._features, hyperparameters), block)
        for mean in observed[len(self._posterior.observed) :]:
            self._posterior.append(mean)


def standardised_scales(values: Sequence[IndexedValue], clip: float = 3.0, offset: float = 0.3) -> Floats:
    """(values, 2): the values of (index, value) pairs on a linear and on a logarithmic scale, each standardised.

    Values below `median - clip * (best - median)` are clipped to it, so that a few failed runs do not set the scale on
    which good candidates are compared. The logarithmic scale is finer near the best value; `offset` is the distance
    from it, in units of best - median, at which it flattens. How fine it should be differs between spaces, so the
    improvements on both scales are added.
    """
    top1 = np.array([value for _, value in values])
    lowest = min(top1[np.isfinite(top1)], default=0.0)
    top1 = np.maximum(top1, lowest)
    median = np.median(top1)
    best = top1.max()
    spread = max(best - median, 1e-9)
    linear = np.maximum(top1, median - clip * spread)
    logarithmic = -np.log((best - top1) / spread + offset)
    scales = np.stack([linear, logarithmic], axis=1)
    sd = np.maximum(scales.std(axis=0), 1e-9)
    return (scales - scales.mean(axis=0)) / sd


def _largest_gain(gains: Floats, unseen: Bools, rng: np.random.Generator) -> int:
    """The unseen candidate with the largest gain; a random one of those that differ by rounding errors only."""
    gains = np.where(unseen, gains, -np.inf)
    largest = gains >= gains.max() * (1 - 1e-6)
    return int(rng.choice(np.flatnonzero(largest)))


def _initial_proposals(space: EncodedSpace) -> int:
    """Proposals before the model is used: one for each level of the longest axis, but at least 5 and at most 10."""
    longest = max([len(np.unique(levels)) for levels in space.levels.T], default=1)  # one candidate has no axes
    return min(max(longest, 5), 10)


def _rarest_levels(space: EncodedSpace, observations: Observations, unseen: Bools, rng: np.random.Generator) -> int:
    """A random one of the unseen candidates whose levels were proposed least often."""
    proposed_levels = space.levels[[observation.index for observation in observations]]
    frequency = np.zeros(len(space))
    for axis, levels in enumerate(space.levels.T):
        values, place = np.unique(levels, return_inverse=True)
        proposed_places = np.searchsorted(values, proposed_levels[:, axis])
        counts = np.bincount(proposed_places, minlength=len(values))
        frequency += counts[place] ** 2
    frequency[~unseen] = np.inf
    return int(rng.choice(np.flatnonzero(frequency == frequency.min())))


def _last_fit_size(count: int, growth: float = 1.1) -> int:
    """The covariance is fitted anew whenever the number of values has grown by 10 %: the last such number <= count."""
    last = MIN_VALUES
    while True:
        following = max(last + 1, int(last * growth))
        if following > count:
            return last
        last = following
