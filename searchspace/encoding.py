"""Candidates as rows of whole numbers, which are all that samplers see: one axis for each choice that varies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from searchspace.candidate import Candidate
from searchspace.switches import SWITCHES


def encode(candidates: Sequence[Candidate]) -> tuple[list[tuple[int, ...]], tuple[bool, ...]]:
    """The level of each candidate on each axis, from 0, and for each axis whether its levels are in an order.

    An axis is the mixer or a switch of one stage, such as the heads of stage 2, on which `candidates` differ. A stage
    whose mixer has no heads gets the backbone's own count, so that a choice of mixers alone is one axis a stage.
    """
    rows = [_values(candidate) for candidate in candidates]
    ordered_fields = [False, *(switch.ordered for switch in SWITCHES)]
    levels_by_axis = []
    ordered_axes = []
    for index, column in enumerate(zip(*rows, strict=True)):
        values = sorted(set(column))
        if len(values) > 1:
            level_of = {value: level for level, value in enumerate(values)}
            levels_by_axis.append([level_of[value] for value in column])
            ordered_axes.append(ordered_fields[index % len(ordered_fields)])
    return list(zip(*levels_by_axis, strict=True)), tuple(ordered_axes)


def _values(candidate: Candidate) -> list[Any]:
    """The mixer and all switches of each stage, as values that can be sorted among those of other candidates."""
    values: list[Any] = []
    for stage, heads in zip(candidate.stages, candidate.num_heads, strict=True):
        values.append(stage.mixer)
        for switch in SWITCHES:
            value = heads if switch.name == "num_heads" else getattr(stage, switch.name)
            values.append(switch.encoded_unset if value is None else value)
    return values
