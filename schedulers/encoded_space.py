"""A search space as numbers: what a sampler sees of the candidates, and what it has observed of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EncodedSpace:
    """All candidates of a space, numbered from 0, with their levels on each axis and optionally their costs."""

    levels: Ints  # (candidates, axes)
    ordinal: tuple[bool, ...]  # by axis: whether its levels have an order (head counts) or not (mixers)
    costs: Floats | None = None  # (candidates,), lower is better; None: top-1 is the only objective

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True)
class CandidatePool:
    """The candidates that a search may propose, by name and, in the same order, encoded."""

    candidates: Sequence[str]
    space: EncodedSpace

    def indices(self) -> dict[str, int]:
        """Each candidate's index in the encoded space."""
        return {candidate: index for index, candidate in enumerate(self.candidates)}


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A candidate that was proposed before, and its top-1 once there is one."""

    index: int  # of the candidate in the encoded space
    status: Literal["running", "ended", "diverged"] = "ended"
    value: float | None = None  # top-1 in percent, comparable between observations; None while running or diverged
    seeds: int = 1  # number of seeds of which the value is the mean


Observations = Sequence[Observation]  # in the order in which the candidates were proposed


class Sampler(Protocol):
    """Proposes candidates. Its answers depend on its arguments and its seed alone, so a restart changes nothing."""

    def propose(self, space: EncodedSpace, observations: Observations) -> int | None:
        """The index of a candidate not yet observed, or None if there is none left."""
        ...

    def recommend(self, space: EncodedSpace, observations: Observations) -> int:
        """The index of the candidate judged best. Raises ValueError before any observation has a top-1."""
        ...
