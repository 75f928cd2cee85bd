"""Optuna's tree of Parzen estimators, over points that are never proposed twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.history import best_observed, nearest_unseen, proposal_rng, unseen_mask

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

INITIAL = 10  # proposals by chance
DRAWS = 5  # that turn out to be seen or no point, before the nearest unseen point stands in for the last of them


class TPE:
    """Each proposal seeds an estimator of its own; what it was told before is kept only to save the time."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._told: _Told | None = None

    def propose(self, points: EncodedSpace, seen: Sequence[Observation]) -> int | None:
        rng, free = proposal_rng(self.seed, seen), unseen_mask(points, seen)
        if not free.any():
            return None
        drawn = None
        for drawn in self._draws(points, seen, int(rng.integers(2**31))) if len(seen) >= INITIAL else ():
            same = np.flatnonzero(free & (points.levels == drawn).all(axis=1))
            if same.size:
                return int(same[0])
        return int(rng.choice(np.flatnonzero(free))) if drawn is None else nearest_unseen(points, drawn, free, rng)

    def recommend(self, points: EncodedSpace, seen: Sequence[Observation]) -> int:
        return best_observed(seen)

    def _draws(self, points: EncodedSpace, seen: Sequence[Observation], seed: int) -> Iterator[NDArray[np.int64]]:
        """Levels that the estimators favour; none before a trial has ended."""
        from optuna.samplers import TPESampler

        if self._told is None or not self._told.extends_to(points, seen):
            self._told = _Told(points)
        self._told.tell(seen)
        # Given outright: with two objectives it would else look at one axis at a time.
        self._told.study.sampler = TPESampler(seed=seed, n_startup_trials=1, multivariate=True)
        for _ in range(DRAWS if any(past.status == "ended" for past in seen) else 0):
            yield self._told.ask()


class _Told:
    """A study of Optuna's that holds what was seen, in its order: the levels of each axis by their rank."""

    def __init__(self, points: EncodedSpace) -> None:
        from optuna.distributions import CategoricalDistribution, IntDistribution
        from optuna.logging import WARNING, set_verbosity
        from optuna.study import create_study

        set_verbosity(WARNING)  # else each new study is announced
        self.points, self.seen, self.numbers = points, list[Observation](), list[int]()
        self.values = [np.unique(levels) for levels in points.levels.T]
        self.axes: dict[str, BaseDistribution] = {}
        for axis, (values, ordinal) in enumerate(zip(self.values, points.ordinal, strict=True)):
            ranks = range(len(values))
            self.axes[str(axis)] = IntDistribution(0, ranks[-1]) if ordinal else CategoricalDistribution(ranks)
        self.study = create_study(directions=["maximize"] if points.costs is None else ["maximize", "minimize"])

    def extends_to(self, points: EncodedSpace, seen: Sequence[Observation]) -> bool:
        """Whether `seen` is what was told and more: all that changed is that running trials have ended."""
        pairs = zip(self.seen, seen, strict=False)
        same = all(old == new or (old.index == new.index and old.status == "running") for old, new in pairs)
        return same and points is self.points and len(self.seen) <= len(seen)

    def tell(self, seen: Sequence[Observation]) -> None:
        for number, old, new in zip(self.numbers, self.seen, seen, strict=False):
            if old != new:
                trial = self._trial(new)
                self.study.tell(number, trial.values, trial.state)
        for new in seen[len(self.seen) :]:
            self.numbers.append(len(self.study.get_trials(deepcopy=False)))
            self.study.add_trial(self._trial(new))
        self.seen = list(seen)

    def ask(self) -> NDArray[np.int64]:
        """Levels by axis. What was asked for is left behind as failed, which the estimators pass over."""
        from optuna.trial import TrialState

        asked = self.study.ask(self.axes)
        self.study.tell(asked, state=TrialState.FAIL)
        return np.array([values[rank] for values, rank in zip(self.values, asked.params.values(), strict=True)])

    def _trial(self, seen: Observation) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        levels, costs = self.points.levels[seen.index], self.points.costs
        ranks = [int(np.searchsorted(values, level)) for values, level in zip(self.values, levels, strict=True)]
        states = {"running": TrialState.RUNNING, "ended": TrialState.COMPLETE, "diverged": TrialState.FAIL}
        values = None if seen.value is None else [seen.value] if costs is None else [seen.value, costs[seen.index]]
        params = dict(zip(self.axes, ranks, strict=True))
        return create_trial(state=states[seen.status], params=params, distributions=self.axes, values=values)
