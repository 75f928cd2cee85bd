"""Methods to compare with, as commonly run: they may repeat themselves and recommend the best value they saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna

from benchmarks.tabular import Table

POPULATION = 20
TOURNAMENT = 5

Evaluate = Callable[[int], float]


def random_search(table: Table, evaluate: Evaluate, evaluations: int, seed: int) -> None:
    for row in np.random.default_rng(seed).permutation(len(table.points))[:evaluations]:
        evaluate(int(row))


def plain_tpe(table: Table, evaluate: Evaluate, evaluations: int, seed: int) -> None:
    """Optuna's TPESampler with its defaults, axes categorical. Levels that are no row count as the nearest that is."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    values = [np.unique(levels).tolist() for levels in table.points.levels.T]
    rng = np.random.default_rng(seed)
    for _ in range(evaluations):
        trial = study.ask()
        levels = np.array([trial.suggest_categorical(f"x{axis}", own) for axis, own in enumerate(values)])
        study.tell(trial, evaluate(table.nearest(levels, rng)))


def plain_evolution(table: Table, evaluate: Evaluate, evaluations: int, seed: int) -> None:
    """Regularised evolution (arXiv 1802.01548): the best of a tournament among the youngest has one level changed."""
    rng = np.random.default_rng(seed)
    values = [np.unique(levels) for levels in table.points.levels.T]
    axes = [axis for axis, own in enumerate(values) if len(own) > 1]
    history: list[tuple[float, int]] = []
    for _ in range(evaluations):
        row = int(rng.integers(len(table.points)))
        if len(history) >= POPULATION:
            young = history[-POPULATION:]
            levels = table.points.levels[max(young[i] for i in rng.choice(POPULATION, TOURNAMENT, False))[1]].copy()
            axis = rng.choice(axes)
            levels[axis] = rng.choice(values[axis][values[axis] != levels[axis]])
            row = table.nearest(levels, rng)
        history.append((evaluate(row), row))


PLAIN = {"plain tpe": plain_tpe, "random search": random_search, "plain evolution": plain_evolution}
