"""Which trial is trained next: asks the search of schedulers/, given the study's trials, for one job at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from orchestrator.command_start import start_time
from orchestrator.plan import StudyPlan
from orchestrator.trial_rows import stopped_row
from results.recorder import Recorder
from results.records import TrialRecord
from schedulers.budget import BudgetAccount
from schedulers.encoded_space import CandidatePool, EncodedSpace
from schedulers.race_search import RaceSearch
from schedulers.racing import Race
from schedulers.rung_search import RungSearch
from schedulers.rungs import RULES
from schedulers.samplers.registry import make_sampler
from schedulers.search import Job, Search, TrialName, TrialState, TrialStatus
from searchspace.candidate import Candidate
from searchspace.encoding import encode
from trainers.cost import count_all


class TrialQueue:
    """Hands out trials until the search has none left, and remembers those that run.

    The trials and their curves are read from `recorder`, which is told of new ones.
    """

    def __init__(self, plan: StudyPlan, search: Search, recorder: Recorder) -> None:
        self.plan = plan
        self.search = search
        self.recorder = recorder
        self.running: dict[TrialName, Job] = {}
        self._standing_back: dict[TrialName, Job] = {}

    def next_trial(self) -> tuple[TrialRecord, int] | None:
        """A trial and the number of epochs it shall have in the end.

        None if no trial can start now: one that runs may have to end first, or there is nothing left to train.
        """
        self._stop_futile_trials()
        job = self._next_job()
        if job is None:
            return None
        record = self.plan.trial(Candidate.parse(job.candidate), job.seed)
        if record.key not in self.recorder.records:
            self.recorder.add(record)
        self.running[job.name] = job
        return self.recorder.records[record.key], job.until

    def let_another_go_first(self, record: TrialRecord) -> None:
        """A device has failed this running trial: another should get the place that it leaves, if there is one."""
        name = TrialName(record.candidate, record.seed)
        self._standing_back[name] = self.running[name]

    def _next_job(self) -> Job | None:
        """The search's next job; a trial that stands back counts as running, unless there is no other."""
        job = None
        if self._standing_back:
            job = self.search.next_job(self.trials(), {**self.running, **self._standing_back})
        self._standing_back.clear()
        return job or self.search.next_job(self.trials(), self.running)

    def on_trial_end(self, record: TrialRecord) -> None:
        """The trial no longer runs: it is done, paused, diverged or failed, or its process died."""
        del self.running[TrialName(record.candidate, record.seed)]

    def has_work(self) -> bool:
        """Whether a trial could start if none were running. What must not go on is stopped first."""
        self._stop_futile_trials()
        return self.search.next_job(self.trials(), {}) is not None

    def _stop_futile_trials(self) -> None:
        """Write down which paused trials must not go on, and why."""
        for name, forecast in self.search.stops(self.trials()).items():
            record = self.plan.trial(Candidate.parse(name.candidate), name.seed)
            self.recorder.on_stop(stopped_row(self.recorder.records[record.key], forecast))

    def outcome(self) -> str:
        """The search's result in one line; empty if it simply ran all trials asked for."""
        return self.search.outcome(self.trials())

    def trials(self) -> dict[TrialName, TrialState]:
        """The state of every trial of the study, in the order in which they began."""
        states = {}
        for record in self.recorder.records.values():
            states[TrialName(record.candidate, record.seed)] = self._state(record)
        return states

    def _state(self, record: TrialRecord) -> TrialState:
        curve = self.recorder.curves[record.key][: record.epoch]
        return TrialState(
            status=cast(TrialStatus, record.status),
            top1=tuple(curve),
            imported_epochs=record.reused_epochs or 0,
        )


def settle_interrupted_trials(plan: StudyPlan) -> list[TrialRecord]:
    """The study's trials, after writing the status of those whose run ended between their last epoch and their status.

    Such a trial is still called running although it has diverged or has reached a rung.
    """
    recorder = Recorder(plan.study, plan.known_trials())
    for record in list(recorder.records.values()):
        if record.status == "running" and not record.error:  # a failed trial is trained again
            curve = recorder.curves[record.key]
            if curve and not math.isfinite(curve[-1]):
                recorder.on_end(record.key, "diverged")
            elif record.epoch in plan.pauses(record.candidate):
                recorder.on_end(record.key, "paused")
    return list(recorder.records.values())


def make_search(plan: StudyPlan) -> Search:
    """The search that the plan's options describe. Its budget in hours counts from the command's start."""
    options = plan.options
    account = BudgetAccount(options.budget, began=start_time())
    proposable = _proposable_candidates(plan)
    costs = _costs(plan, proposable) if options.cost else {}
    pool = make_pool(proposable, costs)
    if options.race:
        return RaceSearch(pool, Race(options.race), plan.recipe.budget, account)
    rung_epochs = (*plan.rungs(), plan.recipe.budget)
    futility = plan.futility()
    always_trained = [str(candidate) for candidate in plan.candidates]
    return RungSearch(
        pool=pool,
        sampler=make_sampler(options.sampler, seed=0),
        rungs=RULES[options.stopping](rung_epochs, plan.recipe.rung_factor, plan.recipe.rung_start, costs),
        required=sorted(always_trained, key=lambda name: name in futility.baselines),  # baselines first
        proposals=options.proposals,
        seeds=plan.seeds,
        exempt=plan.exempt_candidates(),
        futility=futility,
        account=account,
    )


def _proposable_candidates(plan: StudyPlan) -> list[Candidate]:
    """The space's candidates that can be built; none if the plan neither proposes nor races."""
    if not plan.options.race and not plan.options.proposals:
        return []
    problems = plan.space.problems(plan.recipe.img_size)
    return [candidate for candidate in plan.space if candidate not in problems]


def _costs(plan: StudyPlan, proposable: Sequence[Candidate]) -> dict[str, float]:
    """The objective's cost (FLOPs or parameters) of every candidate that the search can meet."""
    trained = [Candidate.parse(name) for name in plan.study.trials()["candidate"]]
    candidates = list(dict.fromkeys([*proposable, *plan.candidates, *trained]))
    if len(candidates) > 1000:  # it takes several seconds
        print(f"counting the {plan.options.cost} of {len(candidates):,} candidates", flush=True)
    costs = {}
    for candidate, size in count_all(candidates, *plan.input_shape()).items():
        costs[str(candidate)] = float(size.flops if plan.options.cost == "flops" else size.num_params)
    return costs


def make_pool(candidates: Sequence[Candidate], costs: Mapping[str, float]) -> CandidatePool:
    """The candidates as the samplers see them: encoded, (candidates, switches), with their costs if there are any."""
    names = [str(candidate) for candidate in candidates]
    rows, ordinal = encode(candidates)
    table = np.array(rows, dtype=np.int64).reshape(len(names), len(ordinal))  # this shape also without candidates
    point_costs = np.array([costs[name] for name in names]) if costs else None
    return CandidatePool(names, EncodedSpace(table, ordinal, point_costs))
