"""Encoded spaces whose best candidate is known, and searches through them without training."""

import itertools

import numpy as np

from schedulers.encoded_space import EncodedSpace, Observation


def full_space(*sizes, ordinal=False, costs=None):
    """All combinations of so many levels on each axis."""
    levels = np.array(list(itertools.product(*map(range, sizes))))
    return EncodedSpace(levels, (ordinal,) * len(sizes), costs)


def additive_top1(space, seed=0):
    """Top-1 by candidate: one effect a level of each axis, so the best candidate has the best level of each."""
    effects = np.random.default_rng(seed).normal(size=(space.levels.shape[1], space.levels.max() + 1))
    return 90 + sum(effects[axis][levels] for axis, levels in enumerate(space.levels.T))


def run_sampler(sampler, space, top1, count, observations=()):
    """The observations after so many more proposals, each ended with its top-1."""
    observations = list(observations)
    for _ in range(count):
        index = sampler.propose(space, observations)
        observations.append(Observation(index=index, value=float(top1[index])))
    return observations


def run_with_failures(sampler, space, top1, count, fails):
    """The same where `fails(index, number of observations)` says whether a trial diverges."""
    observations = []
    for _ in range(count):
        index = sampler.propose(space, observations)
        if fails(index, len(observations)):
            observations.append(Observation(index=index, status="diverged"))
        else:
            observations.append(Observation(index=index, value=float(top1[index])))
    return observations


def indices(observations):
    """The candidates proposed."""
    return [observation.index for observation in observations]


def mean_best_by_cost(space, observations):
    """Over all costs, the mean of the best top-1 among candidates that cost no more."""
    best = []
    for cost in np.unique(space.costs):
        affordable = [each.value for each in observations if space.costs[each.index] <= cost]
        best.append(max(affordable, default=0))
    return np.mean(best)


def stairs():
    """A space and its top-1 where each level of the first axis costs more and is worth more: the front holds all."""
    levels = full_space(8, 4, 4, 4).levels
    space = EncodedSpace(levels, (True, False, False, False), (10.0 ** levels[:, 0]).astype(float))
    return space, 80 + levels[:, 0] + 2.0 * (levels[:, 1:] == 2).sum(axis=1)
