"""Candidates as rows of whole numbers: one axis for each choice that varies, for samplers that know nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from searchspace.candidate import BACKBONES, Candidate, Stage

ORDERED = ("num_heads", "head_dim", "kernel_size")
_NAMES = [field.name for field in fields(Stage)]


def levels(candidates: Sequence[Candidate]) -> tuple[list[tuple[int, ...]], tuple[bool, ...]]:
    """The level of each candidate on each axis, from 0, and by axis whether levels are in an order.

    An axis is a field of a stage, such as the heads of stage 2, that differs among `candidates`; what a mixer lacks, or
    leaves to the backbone, is the backbone's own, so that a choice of mixers alone is one axis a stage.
    """
    columns = list(zip(*(_values(candidate) for candidate in candidates), strict=True))
    kept = [number for number, column in enumerate(columns) if len(set(column)) > 1]
    ranks = [{value: rank for rank, value in enumerate(sorted(set(columns[n])))} for n in kept]
    rows = zip(*([rank[value] for value in columns[n]] for n, rank in zip(kept, ranks, strict=True)), strict=True)
    return list(rows), tuple(_NAMES[n % len(_NAMES)] in ORDERED for n in kept)


def _values(candidate: Candidate) -> list[Any]:
    """Every field of every stage, comparable within an axis."""
    spec, found = BACKBONES[candidate.backbone], []
    for stage, dim in zip(candidate.stages, spec.dims, strict=True):
        unasked = {"num_heads": dim // spec.head_dim, "head_dim": 0, "kernel_size": 3, "key_init": ""}
        values = ((name, getattr(stage, name)) for name in _NAMES)
        found += [unasked[name] if value is None else value for name, value in values]
    return found
