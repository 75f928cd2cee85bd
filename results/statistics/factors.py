"""What the placements of a study differ in, as categorical factors and as the columns of a linear model."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from searchspace import switches

# The columns of a design matrix without its intercept: zeros and ones for each (factor, level).
Design = dict[tuple[str, str], NDArray[np.float64]]


def factors(placements: pd.Series) -> pd.DataFrame:
    """One categorical column per factor in which the placements differ, one row per placement.

    The mixers come first (`stage 2`), then the switches (`stage 2 heads`). A switch that a stage does not spell has
    the level "default", or "no" if it is a flag.
    """
    rows = pd.DataFrame([_levels(placement) for placement in placements], index=placements.index)
    names = [str(name) for name in rows]
    columns = {}
    for name in sorted(names, key=lambda name: (not is_mixer(name), name)):
        is_flag = (rows[name] == "yes").any()
        levels = rows[name].fillna("no" if is_flag else "default")
        ordered = sorted(set(levels), key=_numeric_order)
        if len(ordered) > 1:
            columns[name] = pd.Categorical(levels, ordered)
    return pd.DataFrame(columns, index=placements.index)


def is_mixer(factor: str) -> bool:
    """Whether the factor is a stage's mixer, not one of its switches."""
    return re.fullmatch(r"stage \d+", factor) is not None


def make_design(placements: pd.Series, baseline: str) -> Design:
    """A column for each level that is not the `baseline` placement's, one row per placement.

    If no placement has the baseline's level of a factor, all its levels get a column and none has a determined effect,
    because their sum is the intercept.
    """
    with_baseline = pd.Series([baseline, *placements], dtype="str")
    design: Design = {}
    for factor, levels in factors(with_baseline).items():
        baseline_level = levels.iloc[0]
        observed = levels.iloc[1:]
        for level in levels.cat.categories:
            column = (observed == level).to_numpy()
            if level != baseline_level and not column.all():
                design[str(factor), level] = column.astype("float64")
    return design


def interaction_columns(design: Design) -> Design:
    """A column for each pair of mixers in two different stages that some placement combines."""
    mixers = [(factor, level) for factor, level in design if is_mixer(factor)]
    pairs: Design = {}
    for (factor, level), (other_factor, other_level) in itertools.combinations(mixers, 2):
        if factor == other_factor:
            continue
        column = design[factor, level] * design[other_factor, other_level]
        if column.any():
            pairs[f"{factor} x {other_factor}", f"{level} x {other_level}"] = column
    return pairs


def _levels(placement: str) -> dict[str, str]:
    """The levels that a placement spells, by factor."""
    levels: dict[str, str] = {}
    for number, stage in enumerate(placement.split("-"), 1):
        mixer, *spelled_switches = stage.split(".")
        levels[f"stage {number}"] = mixer
        for switch in spelled_switches:
            name, level = _describe(switch)
            levels[f"stage {number} {name}"] = level
    return levels


def _describe(switch: str) -> tuple[str, str]:
    """Factor and level of a switch, such as ("heads", "8"); one of a user's own mixer is a flag with its own name."""
    try:
        return switches.describe(switch)
    except ValueError:
        return switch, "yes"


def _numeric_order(level: str) -> tuple[int, str]:
    """Sorts levels that are numbers by value, so that 16 heads come after 8."""
    number = int(level) if level.isdigit() else 0
    return number, level
