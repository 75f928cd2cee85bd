"""Optuna's tree-structured Parzen estimator (TPE), over candidates that are never proposed twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from schedulers.encoded_space import EncodedSpace, Ints, Observation, Observations
from schedulers.samplers.history import best_observed, nearest_unseen, proposal_rng, unseen_mask

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


class TPE:
    """The first `initial` proposals are random; then each comes from an estimator with its own seed.

    The Optuna study is kept between proposals only to save time.
    """

    def __init__(self, seed: int = 0, initial: int = 10) -> None:
        self.seed = seed
        self.initial = initial
        self._study: _ObservedStudy | None = None

    def propose(self, space: EncodedSpace, observations: Observations) -> int | None:
        """The first draw that is an unseen candidate. If none is, the unseen candidate nearest to the last draw."""
        rng = proposal_rng(self.seed, observations)
        unseen = unseen_mask(space, observations)
        if not unseen.any():
            return None
        drawn = None
        if len(observations) >= self.initial:
            for drawn in self._draws(space, observations, seed=int(rng.integers(2**31))):
                matches = np.flatnonzero(unseen & (space.levels == drawn).all(axis=1))
                if matches.size:
                    return int(matches[0])
        if drawn is None:
            return int(rng.choice(np.flatnonzero(unseen)))
        return nearest_unseen(space, drawn, unseen, rng)

    def recommend(self, space: EncodedSpace, observations: Observations) -> int:
        return best_observed(observations)

    def _draws(self, space: EncodedSpace, observations: Observations, *, seed: int, number: int = 5) -> Iterator[Ints]:
        """Levels, by axis, that the estimator favours. None before a trial has ended."""
        from optuna.samplers import TPESampler

        if self._study is None or not self._study.extends_to(space, observations):
            self._study = _ObservedStudy(space)
        self._study.tell(observations)
        # Multivariate also with two objectives, where the default would treat the axes as independent.
        self._study.study.sampler = TPESampler(seed=seed, n_startup_trials=1, multivariate=True)
        if any(observation.status == "ended" for observation in observations):
            for _ in range(number):
                yield self._study.ask()


class _ObservedStudy:
    """An Optuna study that holds the observations in their order; levels are given by their rank on the axis."""

    def __init__(self, space: EncodedSpace) -> None:
        from optuna.distributions import CategoricalDistribution, IntDistribution
        from optuna.logging import WARNING, set_verbosity
        from optuna.study import create_study

        set_verbosity(WARNING)  # otherwise Optuna announces each new study
        self.space = space
        self.observations: list[Observation] = []
        self.trial_numbers: list[int] = []  # of the observations, in Optuna's study
        self.values = [np.unique(levels) for levels in space.levels.T]
        self.distributions: dict[str, BaseDistribution] = {}
        for axis, (values, ordinal) in enumerate(zip(self.values, space.ordinal, strict=True)):
            if ordinal:
                self.distributions[str(axis)] = IntDistribution(0, len(values) - 1)
            else:
                self.distributions[str(axis)] = CategoricalDistribution(range(len(values)))
        directions: list[Literal["maximize", "minimize"]] = ["maximize"]
        if space.costs is not None:
            directions.append("minimize")
        self.study = create_study(directions=directions)

    def extends_to(self, space: EncodedSpace, observations: Observations) -> bool:
        """Whether the observations are those told before, save that running trials may have ended, and perhaps more."""
        if space is not self.space or len(observations) < len(self.observations):
            return False
        for old, new in zip(self.observations, observations, strict=False):
            has_ended = old.index == new.index and old.status == "running"
            if old != new and not has_ended:
                return False
        return True

    def tell(self, observations: Observations) -> None:
        """Update trials that have ended since, and add the new ones."""
        for number, old, new in zip(self.trial_numbers, self.observations, observations, strict=False):
            if old != new:
                trial = self._trial(new)
                self.study.tell(number, trial.values, trial.state)
        for new in observations[len(self.observations) :]:
            self.trial_numbers.append(len(self.study.get_trials(deepcopy=False)))
            self.study.add_trial(self._trial(new))
        self.observations = list(observations)

    def ask(self) -> Ints:
        """Levels by axis. The trial that was asked for is marked as failed, and the estimator ignores failed ones."""
        from optuna.trial import TrialState

        trial = self.study.ask(self.distributions)
        self.study.tell(trial, state=TrialState.FAIL)
        ranks = trial.params.values()
        levels = [values[rank] for values, rank in zip(self.values, ranks, strict=True)]
        return np.array(levels)

    def _trial(self, observation: Observation) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        levels = self.space.levels[observation.index]
        params = {}
        for axis, values, level in zip(self.distributions, self.values, levels, strict=True):
            params[axis] = int(np.searchsorted(values, level))
        states = {"running": TrialState.RUNNING, "ended": TrialState.COMPLETE, "diverged": TrialState.FAIL}
        state = states[observation.status]
        objectives = None
        if observation.value is not None:
            objectives = [observation.value]
            if self.space.costs is not None:
                objectives.append(float(self.space.costs[observation.index]))
        return create_trial(state=state, params=params, distributions=self.distributions, values=objectives)
