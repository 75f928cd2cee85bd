"""What is trained next: a plan and the rows of its study as schedulers/ sees them, and its answers as trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.plan import StudyPlan
from results.recorder import Recorder
from results.records import TrialRecord
from schedulers.budget import BudgetAccount
from schedulers.encoded_space import CandidatePool, EncodedSpace
from schedulers.race_search import RaceSearch
from schedulers.racing import Race
from schedulers.rung_search import RungSearch
from schedulers.rungs import RULES
from schedulers.samplers.registry import make_sampler
from schedulers.search import Job, Search, TrialName, TrialState
from searchspace.candidate import Candidate
from searchspace.encoding import encode
from trainers.cost import count_all

PATIENCE = 1000  # candidates from which on counting their costs takes so long that it is said


class TrialQueue:
    """Asks a search for one trial after another, and keeps account of those under way."""

    def __init__(self, plan: StudyPlan, search: Search, recorder: Recorder) -> None:
        self.plan, self.search, self.recorder = plan, search, recorder
        self.live: dict[TrialName, Job] = {}
        for record in list(recorder.records.values()):
            if record.status == "running" and not record.error:  # one that failed is run again
                self._settle(record)

    def _settle(self, record: TrialRecord) -> None:
        """Say what becomes of a trial whose last epoch was written, where the run ended before it could."""
        curve = self.recorder.curves[record.key]
        if curve and not np.isfinite(curve[-1]):
            self.recorder.on_end(record.key, "diverged")
        elif record.epoch in self.plan.rungs() and record.candidate not in exempt_candidates(self.plan):
            self.recorder.on_end(record.key, "paused")

    def next(self) -> tuple[TrialRecord, int] | None:
        """A trial and the epochs that it is to have in all, or None: until one under way ends, or for good."""
        if not (job := self.search.next_job(self.trials(), self.live)):
            return None
        record = self.plan.trial(Candidate.parse(job.candidate), job.seed)
        if record.key not in self.recorder.records:
            self.recorder.add(record)
        self.live[job.name] = job
        return self.recorder.records[record.key], job.until

    def over(self, record: TrialRecord) -> None:
        """The trial's job has ended, however."""
        self.live.pop(TrialName(record.candidate, record.seed))

    def waiting(self) -> bool:
        """Whether there is anything to train."""
        return self.search.next_job(self.trials(), {}) is not None

    def outcome(self) -> str:
        """Why the search ended and with what, if that is not simply all that was asked for."""
        return self.search.outcome(self.trials())

    def trials(self) -> dict[TrialName, TrialState]:
        """Every trial of the study, in the order in which they began."""
        trials = {}
        for record in self.recorder.records.values():
            trials[TrialName(record.candidate, record.seed)] = self._state(record)
        return trials

    def _state(self, record: TrialRecord) -> TrialState:
        curve = self.recorder.curves[record.key][: record.epoch]
        imported_epochs = record.reused_epochs or 0
        return TrialState(status=record.status, top1=tuple(curve), imported_epochs=imported_epochs)  # type: ignore[arg-type]


def make_search(plan: StudyPlan) -> Search:
    """The search that a plan asks for."""
    how, account = plan.how, BudgetAccount(plan.how.budget)
    problems = plan.space.problems(plan.recipe.img_size) if how.race or how.proposals else {}
    proposable = [c for c in plan.space if c not in problems] if how.race or how.proposals else []
    held = map(Candidate.parse, plan.study.trials()["candidate"])
    costs = _costs(plan, [*proposable, *plan.candidates, *held]) if how.cost else {}
    pool = _pool(proposable, costs)
    if how.race:
        return RaceSearch(pool, Race(how.race), plan.recipe.budget, account)
    return RungSearch(
        pool=pool,
        sampler=make_sampler(how.sampler, seed=0),
        rungs=RULES[how.stopping]((*plan.rungs(), plan.recipe.budget), plan.recipe.rung_factor, costs),
        required=list(map(str, plan.candidates)),
        proposals=how.proposals,
        seeds=plan.seeds,
        exempt=exempt_candidates(plan),
        account=account,
    )


def exempt_candidates(plan: StudyPlan) -> set[str]:
    """The candidates that never pause at a rung."""
    return set() if plan.how.stop_published else set(map(str, plan.candidates))


def _costs(plan: StudyPlan, candidates: Sequence[Candidate]) -> dict[str, float]:
    """What each candidate costs, in the unit of the objective."""
    if len(candidates) > PATIENCE:
        print(f"counting the {plan.how.cost} of {len(candidates):,} candidates", flush=True)
    counts = count_all(list(dict.fromkeys(candidates)), *plan.shape())
    return {str(c): float(flops if plan.how.cost == "flops" else params) for c, (params, flops) in counts.items()}


def _pool(candidates: Sequence[Candidate], costs: dict[str, float]) -> CandidatePool:
    names, (rows, ordinal) = list(map(str, candidates)), encode(candidates)
    by_point = np.array([costs[name] for name in names]) if costs else None
    table = np.array(rows, dtype=np.int64).reshape(len(names), len(ordinal))  # also where there are none
    return CandidatePool(names, EncodedSpace(table, ordinal, by_point))
