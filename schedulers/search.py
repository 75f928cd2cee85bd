"""What is trained next: trials that were interrupted, promotions, the candidates asked for, proposals, further seeds.

Every decision is a function of the trials so far, in the order in which they began, so that a restart repeats it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from schedulers.budget import Budget
from schedulers.encoded_space import EncodedSpace, Observation, Sampler
from schedulers.racing import Race
from schedulers.rungs import Rungs, comparable

Name = tuple[str, int]  # of a trial: candidate and seed


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """What is known of a trial: `top1` in percent of the validation split by epoch."""

    status: Literal["running", "paused", "done", "stopped", "diverged", "failed"] = "running"
    top1: tuple[float, ...] = ()
    elsewhere: int = 0  # epochs that another study has trained


Trials = Mapping[Name, TrialState]  # in the order in which they began


@dataclass(frozen=True)
class Job:
    """Train a trial, new or begun, to `until` epochs in all."""

    candidate: str
    seed: int
    until: int

    @property
    def name(self) -> Name:
        return self.candidate, self.seed


@dataclass(frozen=True)
class Pool:
    """The candidates that may be proposed: each is the point of its number."""

    candidates: Sequence[str]
    points: EncodedSpace

    def numbers(self) -> dict[str, int]:
        """The point of each candidate."""
        return {candidate: number for number, candidate in enumerate(self.candidates)}


@dataclass(frozen=True)
class BudgetAccount:
    """A budget, if there is one, and when the spending began."""

    budget: Budget | None = None
    began: float = field(default_factory=time.monotonic)

    def allows(self, job: Job, trials: Trials, live: Mapping[Name, Job]) -> bool:
        """Whether the job fits beside what was spent and what is under way."""
        if self.budget is None:
            return True
        # A failed trial counts, or a race whose trials all fail would never end.
        epochs = {name: max(len(trial.top1), trial.status == "failed") for name, trial in trials.items()}
        for other in (*live.values(), job):
            epochs[other.name] = max(other.until, epochs.get(other.name, 0))
        own = {name: number - trials[name].elsewhere if name in trials else number for name, number in epochs.items()}
        begun = [name for name in own if own[name] or not trials[name].elsewhere]
        return self.budget.allows((time.monotonic() - self.began) / 3600, sum(own.values()), len(begun))


class Search(Protocol):
    """Decides what is trained next."""

    def next(self, trials: Trials, live: Mapping[Name, Job]) -> Job | None:
        """The next job beside those under way, or None: until one of them ends, or for good if there is none."""
        ...

    def outcome(self, trials: Trials) -> str:
        """Why it ended and with what, in one line; empty if every trial asked for was run."""
        ...


@dataclass
class RungSearch:
    """`required` candidates, then `proposals` of the sampler, each with `seeds` seeds, promoted from rung to rung.

    `spared` candidates never pause. Costs by candidate make the front what is searched. What a budget has left in the
    end is spent on the best that pause; without one, only the leader goes on.
    """

    pool: Pool
    sampler: Sampler
    rungs: Rungs
    required: Sequence[str]
    proposals: int
    seeds: int
    spared: Collection[str]
    costs: Mapping[str, float] = field(default_factory=dict)
    purse: BudgetAccount = field(default_factory=BudgetAccount)
    broke: bool = False

    def next(self, trials: Trials, live: Mapping[Name, Job]) -> Job | None:
        job = self._interrupted(trials, live) or self._promoted(trials, live) or self._new(trials)
        job = job or self._left_over(trials, live)
        self.broke = job is not None and not self.purse.allows(job, trials, live)
        return None if self.broke else job

    def outcome(self, trials: Trials) -> str:
        said = [f"the budget of {self.purse.budget} allows no further trial"] if self.broke else []
        seen = self.seen(trials) if self.proposals and not self.costs else []
        if any(past.value is not None for past in seen):
            best = self.pool.candidates[self.sampler.recommend(self.pool.points, seen)]
            said.append(f"the search recommends {best}")
        return "; ".join(said)

    def _job(self, name: Name, epochs: int) -> Job:
        """The next stretch of a trial that has run so many epochs."""
        level = self.rungs.levels[-1] if name[0] in self.spared else self.rungs.following(epochs)
        return Job(*name, until=level)

    def _interrupted(self, trials: Trials, live: Collection[Name]) -> Job | None:
        """What has no process but should; also what an earlier command let rungs stop and this one spares."""
        held = {name for name, trial in trials.items() if trial.status == "paused" and name[0] in self.spared}
        name = next((n for n in trials if n not in live and (n in held or trials[n].status == "running")), None)
        return self._job(name, len(trials[name].top1)) if name else None

    def _promoted(self, trials: Trials, live: Collection[Name]) -> Job | None:
        curves, paused = self._curves(trials), self._paused(trials, live)
        name = self._rungs(trials).promoted(curves, paused) if paused else None
        return self._job(name, len(curves[name])) if name else None

    def _left_over(self, trials: Trials, live: Collection[Name]) -> Job | None:
        """With a budget to spend, the best that pause; otherwise the leader, once nothing else runs."""
        curves, paused, rungs = self._curves(trials), self._paused(trials, live), self._rungs(trials)
        if not paused or (live and not self.purse.budget):
            return None
        name = (rungs.further if self.purse.budget else rungs.last)(curves, paused)
        return self._job(name, len(curves[name])) if name else None

    def _new(self, trials: Trials) -> Job | None:
        for required in self.required:
            if (required, 0) not in trials:
                return self._begun((required, 0))
        own = (name[0] for name, trial in trials.items() if not trial.elsewhere and name[0] not in self.required)
        proposed = list(dict.fromkeys(own))
        if len(proposed) < self.proposals and (candidate := self._proposal(trials)):
            return self._begun((candidate, 0))
        wanted = ((c, seed) for seed in range(1, self.seeds) for c in (*self.required, *proposed))
        name = next((name for name in wanted if name not in trials), None)
        return self._begun(name) if name else None

    def _begun(self, name: Name) -> Job:
        return Job(*name, until=self.rungs.levels[-1] if name[0] in self.spared else self.rungs.first())

    def _proposal(self, trials: Trials) -> str | None:
        point = self.sampler.propose(self.pool.points, self.seen(trials))
        return None if point is None else self.pool.candidates[point]

    def seen(self, trials: Trials) -> list[Observation]:
        """The points that were tried, each with the mean over its seeds of what its trials show so far."""
        numbers = self.pool.numbers()
        values: dict[str, list[float]] = defaultdict(list)
        shown = comparable(self.rungs, self._curves(trials))
        for name in trials:
            values[name[0]] += [shown[name]] if name in shown else []
        diverged = {name[0] for name, trial in trials.items() if trial.status in ("diverged", "failed")}
        return [_seen(numbers[c], found, c in diverged) for c, found in values.items() if c in numbers]

    def _rungs(self, trials: Trials) -> Rungs:
        arms = {name: name[0] for name in trials}
        costs = {name: self.costs[name[0]] for name in trials} if self.costs else {}
        return replace(self.rungs, arms=arms, costs=costs)

    def _curves(self, trials: Trials) -> dict[Name, tuple[float, ...]]:
        return {name: trial.top1 for name, trial in trials.items() if trial.status not in ("diverged", "failed")}

    def _paused(self, trials: Trials, live: Collection[Name]) -> list[Name]:
        """What may be promoted: not what was only taken over, to be compared with."""
        paused = [name for name, trial in trials.items() if trial.status == "paused" and name not in live]
        return [name for name in paused if name[0] in self.required or not trials[name].elsewhere]


def _seen(point: int, values: Sequence[float], diverged: bool) -> Observation:
    if values:
        return Observation(point=point, value=float(np.mean(values)), seeds=len(values))
    return Observation(point=point, status="diverged" if diverged else "running")


@dataclass
class RaceSearch:
    """Adds seeds to candidates until the best is known at the race's confidence; every trial runs to `epochs`."""

    pool: Pool
    race: Race
    epochs: int
    purse: BudgetAccount = field(default_factory=BudgetAccount)
    broke: bool = False

    def next(self, trials: Trials, live: Mapping[Name, Job]) -> Job | None:
        waiting = (name for name, trial in trials.items() if trial.status == "running" and name not in live)
        if (name := next(waiting, None)) is None:
            numbers = self.pool.numbers()
            running = [numbers[job.candidate] for job in live.values()]
            if (point := self.race.next(self.pool.points, self._runs(trials), running)) is None:
                return None
            name = self._next_seed(self.pool.candidates[point], trials, live)
        job = Job(*name, until=self.epochs)
        self.broke = not self.purse.allows(job, trials, live)
        return None if self.broke else job

    def outcome(self, trials: Trials) -> str:
        standing = self.race.standing(self.pool.points, self._runs(trials))
        if standing.leader is None:
            return "the race has no leader: no trial has ended"
        leader = f"{self.pool.candidates[standing.leader]} leads with confidence {standing.confidence:.3f}"
        if standing.decided:
            return f"the race is decided: {leader}, {self.race.confidence:g} was asked for"
        why = f"the budget of {self.purse.budget} allows no further trial" if self.broke else "it was interrupted"
        return f"the race is open: {leader}, {len(standing.contenders)} contenders; {why}"

    def _next_seed(self, candidate: str, trials: Trials, live: Collection[Name]) -> Name:
        """The first that was not run, or that a rung of an earlier search has stopped."""
        names = ((candidate, seed) for seed in range(len(trials) + len(live) + 1))
        unused = (name for name in names if name not in trials or trials[name].status == "paused")
        return next(name for name in unused if name not in live)

    def _runs(self, trials: Trials) -> dict[int, list[float]]:
        """Top-1 by point; a run that diverged or failed counts as 0 percent."""
        numbers, runs = self.pool.numbers(), defaultdict(list)
        for (candidate, _), trial in trials.items():
            if candidate in numbers and trial.status in ("done", "diverged", "failed"):
                runs[numbers[candidate]].append(trial.top1[-1] if trial.status == "done" else 0.0)
        return runs
