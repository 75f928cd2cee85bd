"""A space as a sampler sees it: numbered points, and what is known of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class EncodedSpace:
    """Every candidate of a space, numbered from 0: its levels on each axis, and what it costs where that counts."""

    levels: NDArray[np.int64]  # (candidates, axes)
    ordinal: tuple[bool, ...]  # by axis: whether its levels are in an order (head counts) or only differ (mixers)
    costs: NDArray[np.float64] | None = None  # (candidates,), lower is better; None: top-1 is the only objective

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A point that was proposed before, and its top-1 in percent once there is one."""

    point: int
    status: Literal["running", "ended", "diverged"] = "ended"
    value: float | None = None  # top-1, comparable with that of every other point; None while running or diverged
    seeds: int = 1  # of which the value is the mean


class Sampler(Protocol):
    """Proposes the next point. What it says depends on nothing but what it is given, so a restart changes nothing."""

    def propose(self, points: EncodedSpace, seen: Sequence[Observation]) -> int | None:
        """A point that is in none of `seen` (which is in the order of proposals), or None if there is none left."""
        ...

    def recommend(self, points: EncodedSpace, seen: Sequence[Observation]) -> int:
        """The point that is best after all that was seen. ValueError before any has a top-1."""
        ...
