"""The border of this room: trials go in, the next job comes out.

A search is a pure function of the trials so far, in the order in which they began. A restarted study therefore makes
the same decisions as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from schedulers.forecast import Forecast

TrialStatus = Literal["running", "paused", "done", "stopped", "diverged", "failed"]


class TrialName(NamedTuple):
    """What identifies a trial within a study."""

    candidate: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """What a search knows of one trial."""

    status: TrialStatus = "running"  # "paused" at a rung, so it may be promoted; "stopped": it was found futile there
    top1: tuple[float, ...] = ()  # validation top-1 in percent, by epoch
    imported_epochs: int = 0  # of these epochs, how many another study trained


Trials = Mapping[TrialName, TrialState]  # in the order in which they began


@dataclass(frozen=True)
class Job:
    """Train a trial, new or paused, until it has `until` epochs in all."""

    candidate: str
    seed: int
    until: int

    @property
    def name(self) -> TrialName:
        return TrialName(self.candidate, self.seed)


ActiveJobs = Mapping[TrialName, Job]  # jobs that have a process, by trial


class Search(Protocol):
    """Decides what is trained next."""

    def next_job(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        """The job to start beside the active ones.

        None means that nothing can start until an active job ends or, without active jobs, that the search is over.
        """
        ...

    def stops(self, trials: Trials) -> Mapping[TrialName, Forecast]:
        """The paused trials that must not go on, and why. They get the status `stopped` before the next `next_job`."""
        ...

    def outcome(self, trials: Trials) -> str:
        """One line: why the search ended and what it found. Empty if simply everything requested was trained."""
        ...
