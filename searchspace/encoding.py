"""Candidates as rows of whole numbers, which are all that samplers see: one axis for each choice that varies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from searchspace.candidate import Candidate
from searchspace.switches import SWITCHES


def encode(candidates: Sequence[Candidate]) -> tuple[list[tuple[int, ...]], tuple[bool, ...]]:
    """The level of each candidate on each axis, from 0, and for each axis whether its levels are in an order.

    An axis is the mixer or a switch of one stage, such as the heads of stage 2, on which `candidates` differ. A stage
    whose mixer has no heads gets the backbone's own count. A switch that follows from the stage's mixer, as the heads
    of CSKA do where it is always `cska.h8`, is no axis, so that a choice of mixers alone is one axis a stage.
    """
    rows = [_values(candidate) for candidate in candidates]
    columns = zip(*rows, strict=True)
    ordered_columns = itertools.cycle([False, *(switch.ordered for switch in SWITCHES)])  # the mixer comes first
    axes = []
    ordered_axes = []
    mixers: tuple[Any, ...] = ()
    for number, (column, ordered) in enumerate(zip(columns, ordered_columns, strict=False)):
        values = sorted(set(column))
        is_mixer = number % (1 + len(SWITCHES)) == 0
        if is_mixer:
            mixers = column
        follows_from_mixer = not is_mixer and len(set(zip(mixers, column, strict=True))) == len(set(mixers))
        if len(values) == 1 or follows_from_mixer:
            continue
        level_of = {value: level for level, value in enumerate(values)}
        axes.append([level_of[value] for value in column])
        ordered_axes.append(ordered)
    levels = list(zip(*axes, strict=True))
    return levels, tuple(ordered_axes)


def _values(candidate: Candidate) -> list[Any]:
    """The mixer and all switches of each stage, as values that can be sorted among those of other candidates."""
    values: list[Any] = []
    for stage, heads in zip(candidate.stages, candidate.num_heads, strict=True):
        values.append(stage.mixer)
        for switch in SWITCHES:
            value = getattr(stage, switch.name)
            if switch.name == "num_heads":
                value = heads
            elif value is None:
                value = switch.encoded_unset
            values.append(value)
    return values
