"""What a part of the benchmark found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class CheckFailedError(Exception):
    """A check found something wrong; the message says what was found and what was wanted."""


def require(condition: bool, problem: str) -> None:
    """CheckFailedError with `problem` unless `condition` holds."""
    if not condition:
        raise CheckFailedError(problem)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A speed in images per second, summed over trials, and the peak memory of one trial in bytes, if measured."""

    what: str
    variant: str
    images_per_second: float
    peak_memory: int | None = None


@dataclass(frozen=True)
class Found:
    """What a part that went well says, and its measurements."""

    detail: str
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A part with its result. `failed`: it says why; `died`: its process did; `out of time`: it was ended."""

    group: str
    name: str
    status: Literal["passed", "failed", "died", "out of time"]
    seconds: float
    found: Found
