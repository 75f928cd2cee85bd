"""Search methods to compare with, as commonly used: they may repeat candidates and recommend the best value seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna

from benchmarks.tabular import Table

Evaluate = Callable[[int], float]


def random_search(table: Table, evaluate: Evaluate, evaluations: int, seed: int) -> None:
    """Rows in random order."""
    order = np.random.default_rng(seed).permutation(len(table.space))
    for row in order[:evaluations]:
        evaluate(int(row))


def plain_tpe(table: Table, evaluate: Evaluate, evaluations: int, seed: int) -> None:
    """Optuna's TPESampler with its defaults and categorical axes. Levels without a row are replaced by the nearest."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    axis_values = [np.unique(levels).tolist() for levels in table.space.levels.T]
    rng = np.random.default_rng(seed)
    for _ in range(evaluations):
        trial = study.ask()
        levels = [trial.suggest_categorical(f"x{axis}", values) for axis, values in enumerate(axis_values)]
        study.tell(trial, evaluate(table.nearest(np.array(levels), rng)))


def plain_evolution(
    table: Table, evaluate: Evaluate, evaluations: int, seed: int, population: int = 20, tournament: int = 5
) -> None:
    """Regularised evolution (arXiv 1802.01548): the best of a tournament among the youngest has one level changed."""
    rng = np.random.default_rng(seed)
    axis_values = [np.unique(levels) for levels in table.space.levels.T]
    mutable_axes = [axis for axis, values in enumerate(axis_values) if len(values) > 1]
    history: list[tuple[float, int]] = []
    for _ in range(evaluations):
        row = int(rng.integers(len(table.space)))
        if len(history) >= population:
            young = history[-population:]
            contestants = [young[place] for place in rng.choice(population, tournament, False)]
            _, parent = max(contestants)
            levels = table.space.levels[parent].copy()
            axis = rng.choice(mutable_axes)
            others = axis_values[axis][axis_values[axis] != levels[axis]]
            levels[axis] = rng.choice(others)
            row = table.nearest(levels, rng)
        history.append((evaluate(row), row))


PLAIN = {"plain tpe": plain_tpe, "random search": random_search, "plain evolution": plain_evolution}
