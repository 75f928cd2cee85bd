"""A search with rungs: required candidates, then a sampler's proposals, promoted from rung to rung."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from schedulers.budget import BudgetAccount
from schedulers.encoded_space import CandidatePool, Observation, Sampler
from schedulers.forecast import Forecast
from schedulers.futility import Futility
from schedulers.rungs import Curves, Rungs, comparable_top1
from schedulers.search import ActiveJobs, Job, TrialName, Trials


@dataclass(kw_only=True)
class RungSearch:
    """Trains the `required` candidates, then `proposals` candidates of the sampler, each with `seeds` seeds.

    The rungs decide which paused trials go on; trials of `exempt` candidates never pause, and those that `futility`
    judges pause only to be judged. When nothing else is left to start, paused trials are resumed, best first, as long
    as the budget lasts. Without a budget only the leader is.
    """

    pool: CandidatePool
    sampler: Sampler
    rungs: Rungs
    required: Sequence[str]
    proposals: int
    seeds: int
    exempt: Collection[str]
    futility: Futility | None = None
    account: BudgetAccount = field(default_factory=BudgetAccount)
    _out_of_budget: bool = field(default=False, init=False)  # whether the last job was refused for lack of budget

    def next_job(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        """See Search. In this order: interrupted trials, judged rows, promotions, new trials, leftover budget."""
        job = self._interrupted(trials, active_jobs)
        if job is None:
            job = self._judged_row(trials, active_jobs)
        if job is None:
            job = self._promotion(trials, active_jobs)
        if job is None:
            job = self._new_trial(trials)
        if job is None:
            job = self._resumption(trials, active_jobs)
        self._out_of_budget = job is not None and not self.account.allows(job, trials, active_jobs)
        return None if self._out_of_budget else job

    def stops(self, trials: Trials) -> dict[TrialName, Forecast]:
        """See Search."""
        return self.futility.stops(trials) if self.futility else {}

    def outcome(self, trials: Trials) -> str:
        """See Search. With costs there is no single best candidate to recommend."""
        parts = []
        if self._out_of_budget:
            parts.append(f"the budget of {self.account.budget} allows no further trial")
        if self.proposals and not self.rungs.costs:
            observations = self.observations(trials)
            if any(observation.value is not None for observation in observations):
                best = self.sampler.recommend(self.pool.space, observations)
                parts.append(f"the search recommends {self.pool.candidates[best]}")
        return "; ".join(parts)

    def observations(self, trials: Trials) -> list[Observation]:
        """What the sampler is told: each candidate tried, with the mean top-1 over its seeds, on one scale."""
        top1 = comparable_top1(self.rungs, _curves(trials))
        values: defaultdict[str, list[float]] = defaultdict(list)
        unsuccessful = set()
        for name, trial in trials.items():
            seeds = values[name.candidate]
            if name in top1:
                seeds.append(top1[name])
            if trial.status in ("diverged", "failed"):
                unsuccessful.add(name.candidate)
        indices = self.pool.indices()
        observations = []
        for candidate, seeds in values.items():
            if candidate in indices:
                observations.append(_observation(indices[candidate], seeds, candidate in unsuccessful))
        return observations

    def _interrupted(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        """A trial that should be running but has no process, or that ended early before its candidate became exempt."""
        for name, trial in trials.items():
            ended_but_exempt = trial.status in ("paused", "stopped") and name.candidate in self.exempt
            if name not in active_jobs and (trial.status == "running" or ended_but_exempt):
                return self._continue(name, len(trial.top1))
        return None

    def _judged_row(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        """A row that was judged at its rung and may go on."""
        if self.futility is None:
            return None
        name = self.futility.next_trial(trials, active_jobs)
        return None if name is None else self._continue(name, len(trials[name].top1))

    def _promotion(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        paused = self._paused(trials, active_jobs)
        if not paused:
            return None
        curves = _curves(trials)
        name = self.rungs.promote(curves, paused)
        return None if name is None else self._continue(name, len(curves[name]))

    def _resumption(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        """With a budget, the best paused trial; without one, the leader, once no other job is active."""
        paused = self._paused(trials, active_jobs)
        if not paused:
            return None
        curves = _curves(trials)
        if self.account.budget:
            name = self.rungs.best_paused(curves, paused)
        elif active_jobs:
            name = None
        else:
            name = self.rungs.paused_leader(curves, paused)
        return None if name is None else self._continue(name, len(curves[name]))

    def _new_trial(self, trials: Trials) -> Job | None:
        """First seeds of the required candidates, then proposals, then the further seeds of both."""
        for candidate in self.required:
            if (candidate, 0) not in trials:
                return self._begin(candidate, 0)
        proposed = self._proposed(trials)
        if len(proposed) < self.proposals:
            index = self.sampler.propose(self.pool.space, self.observations(trials))
            if index is not None:
                return self._begin(self.pool.candidates[index], 0)
        stopped = self.futility.stopped_candidates(trials) if self.futility else set()
        for seed in range(1, self.seeds):
            for candidate in (*self.required, *proposed):
                if (candidate, seed) not in trials and candidate not in stopped:
                    return self._begin(candidate, seed)
        return None

    def _proposed(self, trials: Trials) -> list[str]:
        """Candidates that this study proposed, in order. Imported ones do not count."""
        proposed: dict[str, None] = {}
        for name, trial in trials.items():
            if not trial.imported_epochs and name.candidate not in self.required:
                proposed[name.candidate] = None
        return list(proposed)

    def _paused(self, trials: Trials, active_jobs: ActiveJobs) -> list[TrialName]:
        """Trials that may be promoted. Imported trials of candidates that were not required only serve to compare."""
        judged = self.futility.baselines if self.futility else {}
        paused = []
        for name, trial in trials.items():
            promotable = name.candidate in self.required or not trial.imported_epochs
            if trial.status == "paused" and name not in active_jobs and promotable and name.candidate not in judged:
                paused.append(name)
        return paused

    def _begin(self, candidate: str, seed: int) -> Job:
        if self._runs_by_rungs(candidate):
            return Job(candidate, seed, self.rungs.first_pause())
        return self._continue(TrialName(candidate, seed), epochs=0)

    def _continue(self, name: TrialName, epochs: int) -> Job:
        """The next job of a trial that has run so many epochs."""
        if self._runs_by_rungs(name.candidate):
            until = self.rungs.next_pause(epochs)
        elif self.futility and name.candidate in self.futility.baselines:
            until = self.futility.next_pause(epochs)
        else:
            until = self.rungs.levels[-1]
        return Job(name.candidate, name.seed, until)

    def _runs_by_rungs(self, candidate: str) -> bool:
        """Whether the rungs pause and promote trials of a candidate."""
        is_judged = self.futility is not None and candidate in self.futility.baselines
        return candidate not in self.exempt and not is_judged


def _curves(trials: Trials) -> Curves:
    """The learning curves of all trials that neither diverged nor failed."""
    curves = {}
    for name, trial in trials.items():
        if trial.status not in ("diverged", "failed"):
            curves[name] = trial.top1
    return curves


def _observation(index: int, values: Sequence[float], unsuccessful: bool) -> Observation:
    if values:
        return Observation(index=index, value=float(np.mean(values)), seeds=len(values))
    return Observation(index=index, status="diverged" if unsuccessful else "running")
