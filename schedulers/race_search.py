"""A search that adds seeds to candidates until it is known which of them is best."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from schedulers.budget import BudgetAccount
from schedulers.encoded_space import CandidatePool
from schedulers.forecast import Forecast
from schedulers.racing import Race
from schedulers.search import ActiveJobs, Job, TrialName, Trials


@dataclass
class RaceSearch:
    """Trains one more seed at a time, each to `epochs`, of the candidate that the race names."""

    pool: CandidatePool
    race: Race
    epochs: int
    account: BudgetAccount = field(default_factory=BudgetAccount)
    _out_of_budget: bool = field(default=False, init=False)  # whether the last job was refused for lack of budget

    def next_job(self, trials: Trials, active_jobs: ActiveJobs) -> Job | None:
        """See Search. Interrupted trials go on first."""
        name = _interrupted(trials, active_jobs)
        if name is None:
            indices = self.pool.indices()
            running = [indices[job.candidate] for job in active_jobs.values()]
            index = self.race.next_candidate(self.pool.space, self._runs(trials), running)
            if index is None:
                return None
            name = _next_seed(self.pool.candidates[index], trials, active_jobs)
        job = Job(name.candidate, name.seed, until=self.epochs)
        self._out_of_budget = not self.account.allows(job, trials, active_jobs)
        return None if self._out_of_budget else job

    def stops(self, trials: Trials) -> dict[TrialName, Forecast]:
        """See Search. A race has no rungs, so nothing is stopped."""
        return {}

    def outcome(self, trials: Trials) -> str:
        """See Search. Names the leader, its confidence, and whether the race is decided or why it is not."""
        state = self.race.state(self.pool.space, self._runs(trials))
        if state.leader is None:
            return "the race has no leader: no trial has ended"
        leader = f"{self.pool.candidates[state.leader]} leads with confidence {state.confidence:.3f}"
        if state.decided:
            return f"the race is decided: {leader}, {self.race.confidence:g} was asked for"
        reason = "it was interrupted"
        if self._out_of_budget:
            reason = f"the budget of {self.account.budget} allows no further trial"
        return f"the race is open: {leader}, {len(state.contenders)} contenders; {reason}"

    def _runs(self, trials: Trials) -> dict[int, list[float]]:
        """Top-1 in percent of each candidate's ended trials; a trial that diverged or failed counts as 0."""
        indices = self.pool.indices()
        runs: defaultdict[int, list[float]] = defaultdict(list)
        for name, trial in trials.items():
            if name.candidate not in indices:
                continue
            if trial.status == "done":
                runs[indices[name.candidate]].append(trial.top1[-1])
            elif trial.status in ("diverged", "failed"):
                runs[indices[name.candidate]].append(0.0)
        return runs


def _interrupted(trials: Trials, active_jobs: ActiveJobs) -> TrialName | None:
    """The first trial that should be running but has no process."""
    for name, trial in trials.items():
        if trial.status == "running" and name not in active_jobs:
            return name
    return None


def _next_seed(candidate: str, trials: Trials, active_jobs: ActiveJobs) -> TrialName:
    """The lowest seed that was never run, or that an earlier search paused at a rung."""
    seed = 0
    while True:
        name = TrialName(candidate, seed)
        unfinished = name not in trials or trials[name].status == "paused"
        if unfinished and name not in active_jobs:
            return name
        seed += 1
