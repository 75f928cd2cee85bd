"""Published rows judged at their rungs, played through with invented curves."""

from dataclasses import replace

import numpy as np
import pytest

from schedulers.budget import Budget, BudgetAccount
from schedulers.forecast import Forecast
from schedulers.futility import Futility, is_futile
from schedulers.rung_search import RungSearch
from schedulers.rungs import Asha
from schedulers.samplers.registry import make_sampler
from schedulers.search import Job, TrialName, TrialState
from tests.support.invented_trials import POOL

RULE = Futility(baselines={"good": "base", "bad": "base"}, rungs=(5, 11), start=2, budget=27, margin=0.5)
LEVELS = {"base": 90.0, "good": 90.2, "bad": 50.0}


def curve(candidate, epochs):
    return tuple(LEVELS[candidate] * (1 - 1 / epoch**2) for epoch in range(1, epochs + 1))


def trial(candidate, epochs, status="paused"):
    return TrialState(status=status, top1=curve(candidate, epochs))


def search(seeds=1, **changes):
    settings = {"required": ["base", "good", "bad"], "exempt": {"base"}, "futility": RULE, **changes}
    return RungSearch(
        pool=POOL, sampler=make_sampler("grid", 0), rungs=Asha((5, 11, 27)), proposals=0, seeds=seeds, **settings
    )


def play(search, trials=None, jobs_left=1000):
    """One job at a time until the search ends or so many jobs have ended. Returns the jobs and the trials."""
    trials = dict(trials or {})
    jobs = []
    while len(jobs) < jobs_left:
        for name in search.stops(trials):
            trials[name] = replace(trials[name], status="stopped")
        job = search.next_job(trials, {})
        if job is None:
            break
        jobs.append(job)
        trials[job.name] = trial(job.candidate, job.until, "done" if job.until == 27 else "paused")
    return jobs, trials


def test_rows_pause_where_nine_epochs_follow_the_warm_up():
    assert RULE.pauses() == [11]
    assert [RULE.next_pause(epochs) for epochs in (0, 10, 11, 20)] == [11, 11, 27, 27]


def test_a_hopeless_row_is_stopped_a_good_one_goes_on_and_the_baseline_never_pauses():
    jobs, trials = play(search())
    assert jobs == [Job("base", 0, 27), Job("good", 0, 11), Job("good", 0, 27), Job("bad", 0, 11)]
    assert trials["bad", 0].status == "stopped"


def test_a_stopped_row_gets_no_further_seeds():
    _, trials = play(search(seeds=3))
    assert sorted(name.seed for name in trials if name.candidate == "bad") == [0]
    assert sorted(name.seed for name in trials if name.candidate == "good") == [0, 1, 2]


def test_a_further_seed_that_ran_meanwhile_is_stopped_when_it_pauses():
    trials = {TrialName("base", seed): trial("base", 27, "done") for seed in (0, 1)}
    trials[TrialName("bad", 0)] = trial("bad", 11, "stopped")
    trials[TrialName("bad", 1)] = TrialState(status="paused", top1=curve("good", 11))
    assert list(RULE.stops(trials)) == [TrialName("bad", 1)]


def test_a_row_waits_for_its_baseline_at_the_rung():
    trials = {TrialName("base", 0): trial("base", 10, "running"), TrialName("bad", 0): trial("bad", 11)}
    active = {TrialName("base", 0): Job("base", 0, 27)}
    assert RULE.stops(trials) == {}
    assert search().next_job(trials, active) == Job("good", 0, 11)
    trials[TrialName("base", 0)] = trial("base", 11, "running")
    assert list(RULE.stops(trials)) == [TrialName("bad", 0)]


def test_a_row_waits_for_a_baseline_that_has_not_begun():
    trials = {TrialName("bad", 0): trial("bad", 11)}
    assert RULE.stops(trials) == {}
    assert RULE.next_trial(trials, {}) is None


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_row_whose_baseline_is_lost_goes_on(status):
    trials = {TrialName("base", 0): trial("base", 3, status), TrialName("bad", 0): trial("bad", 11)}
    assert RULE.stops(trials) == {}
    assert RULE.next_trial(trials, {}) == TrialName("bad", 0)


def test_all_seeds_of_a_row_are_judged_together():
    trials = {TrialName("base", seed): trial("base", 27, "done") for seed in (0, 1)}
    trials[TrialName("good", 0)] = trial("good", 27, "done")
    trials[TrialName("good", 1)] = trial("bad", 11)  # one bad seed
    assert RULE.stops(trials) == {}
    trials[TrialName("good", 0)] = trial("bad", 27, "done")
    (seen,) = RULE.stops(trials).values()
    assert (seen.seeds, seen.baseline_seeds, seen.epoch) == (2, 2, 11)


def test_a_search_that_is_cut_anywhere_goes_on_as_if_it_were_not():
    jobs, trials = play(search(seeds=2))
    for cut in range(len(jobs)):
        before, state = play(search(seeds=2), jobs_left=cut)
        after, end = play(search(seeds=2), state)
        assert before + after == jobs
        assert end == trials


@pytest.mark.parametrize("order", range(20))
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_row_stays_paused_whichever_trial_is_faster(order, workers):
    searched = search(seeds=2)
    rng = np.random.default_rng(order)
    trials, active = {}, {}
    while True:
        for name in searched.stops(trials):
            trials[name] = replace(trials[name], status="stopped")
        job = searched.next_job(trials, active) if len(active) < workers else None
        if job is None and not active:
            break
        if job is not None:
            active[job.name] = job
            trials.setdefault(job.name, TrialState())
            trials[job.name] = replace(trials[job.name], status="running")
            continue
        advance(trials, active, rng)
    good = {TrialName(candidate, seed) for candidate in ("base", "good") for seed in (0, 1)}
    assert {name for name, each in trials.items() if each.status == "done"} == good
    assert {each.status for name, each in trials.items() if name not in good} == {"stopped"}


def advance(trials, active, rng):
    """Let one of the active trials run for a few epochs, or to the end of its job."""
    name = list(active)[rng.integers(len(active))]
    until = active[name].until
    epochs = min(until, len(trials[name].top1) + int(rng.integers(1, 10)))
    status = "running"
    if epochs == until:
        status = "done" if until == 27 else "paused"
        del active[name]
    trials[name] = trial(name.candidate, epochs, status)


def test_a_stopped_row_that_became_exempt_goes_on_to_the_budget():
    _, trials = play(search())
    jobs, after = play(search(futility=None, exempt={"base", "good", "bad"}), trials)
    assert jobs == [Job("bad", 0, 27)]
    assert {each.status for each in after.values()} == {"done"}


def test_leftover_budget_does_not_resume_a_stopped_row():
    account = BudgetAccount(Budget.parse("1000epochs"))
    _, trials = play(search(account=account))
    assert trials["bad", 0].status == "stopped"


def test_a_row_that_paused_where_no_row_is_judged_goes_on():
    trials = {TrialName("bad", 0): trial("bad", 5)}
    assert search().next_job(trials, {}) == Job("bad", 0, 11)


def test_one_in_a_hundred_is_the_level():
    seen = Forecast(
        baseline="base",
        epoch=11,
        difference=-2.0,
        low=-3.0,
        high=-1.0,
        p_worse=0.991,
        seeds=1,
        baseline_seeds=1,
    )
    assert is_futile(seen)
    assert not is_futile(replace(seen, p_worse=0.989))
