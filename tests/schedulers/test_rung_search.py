"""Searches with rungs, played through with invented curves and one or more workers."""

import pytest

from schedulers.budget import Budget, BudgetAccount
from schedulers.rung_search import RungSearch
from schedulers.rungs import Asha, Rungs
from schedulers.samplers.registry import make_sampler
from schedulers.search import Job, TrialName, TrialState
from tests.support.invented_trials import LETTERS, LEVELS, POOL, curve, play


def rung_search(**changes):
    settings = {
        "pool": POOL,
        "sampler": make_sampler("random", 0),
        "rungs": Asha(LEVELS),
        "required": ["aaa", "bbb"],
        "proposals": 10,
        "seeds": 1,
        "exempt": {"aaa", "bbb"},
    }
    return RungSearch(**{**settings, **changes})


def first_seeds(candidates, **state):
    """The same state for seed 0 of each candidate."""
    return {TrialName(candidate, 0): TrialState(**state) for candidate in candidates}


def finished(*candidates):
    return {TrialName(c, 0): TrialState(status="done", top1=curve(c, 0, 9)) for c in candidates}


def test_required_candidates_come_first_and_run_to_the_budget():
    jobs, _ = play(rung_search())
    assert jobs[:2] == [Job("aaa", 0, 9), Job("bbb", 0, 9)]


def test_each_proposal_is_another_candidate_and_none_is_required():
    _, trials = play(rung_search(proposals=62))
    assert len(trials) == len(set(trials)) == 64


def test_one_worker_pauses_and_promotes():
    jobs, trials = play(rung_search())
    first = [job for job in jobs if job.until == 1]
    assert len(first) == 10
    assert {job.until for job in jobs} == {1, 3, 9}
    promoted = [trials[job.name].top1[0] for job in jobs if job.until == 3]
    proposed = [trial.top1[0] for name, trial in trials.items() if name.candidate not in ("aaa", "bbb")]
    assert max(proposed) in promoted


@pytest.mark.parametrize("sampler", ["random", "gp", "tpe", "evolution"])
def test_a_search_that_is_cut_anywhere_goes_on_as_if_it_were_not(sampler):
    settings = {"proposals": 6}
    whole, trials = play(rung_search(sampler=make_sampler(sampler, 0), **settings))
    for cut in range(0, len(whole), 3):
        jobs, before = play(rung_search(sampler=make_sampler(sampler, 0), **settings), max_jobs=cut)
        rest, after = play(rung_search(sampler=make_sampler(sampler, 0), **settings), before)
        assert jobs + rest == whole
        assert after == trials


def test_an_interrupted_trial_goes_on_first():
    interrupted = TrialName("ccc", 0)
    trials = {**finished("aaa"), interrupted: TrialState(top1=(1.0, 2.0))}
    job = Job("ccc", 0, 3)
    assert rung_search().next_job(trials, {}) == job
    assert rung_search().next_job(trials, {interrupted: job}) == Job("bbb", 0, 9)


def test_a_trial_that_paused_before_it_was_exempt_goes_on_to_the_budget():
    paused = first_seeds(["aaa"], status="paused", top1=curve("aaa", 0, 1))
    assert rung_search().next_job(paused, {}) == Job("aaa", 0, 9)


def test_every_candidate_gets_its_other_seeds_after_the_proposals():
    _, trials = play(rung_search(seeds=2, proposals=3))
    assert [name.seed for name in trials] == [0] * 5 + [1] * 5
    by_seed = [{name.candidate for name in trials if name.seed == seed} for seed in (0, 1)]
    assert by_seed[0] == by_seed[1]


def test_several_workers_train_the_same_candidates_as_one():
    _, alone = play(rung_search())
    _, together = play(rung_search(), workers=4)
    assert alone.keys() == together.keys()


def test_failed_and_diverged_trials_are_neither_repeated_nor_promoted():
    trials = finished("aaa", "bbb")
    trials |= first_seeds(["ddd"], status="failed")
    trials |= first_seeds(["ddc"], status="diverged", top1=(99.0,))
    jobs, _ = play(rung_search(proposals=8), trials)
    trained = {job.candidate for job in jobs}
    assert not {"ddd", "ddc"} & trained
    assert len(trained) == 6


def test_a_stopped_trial_is_never_promoted():
    stopped = first_seeds(LETTERS[-9:], status="stopped", top1=(90.0,))
    assert rung_search(required=[], exempt=(), proposals=9).next_job(stopped, {}) is None


def test_imported_trials_are_known_to_the_sampler_but_are_no_proposals():
    imported = first_seeds(["ddd"], status="done", top1=curve("ddd", 0, 9), imported_epochs=9)
    jobs, trials = play(rung_search(proposals=3), imported)
    assert len(trials) == 6
    assert "ddd" not in {job.candidate for job in jobs}


def test_imported_trials_are_compared_with_but_never_promoted():
    imported = first_seeds(LETTERS[-9:], status="paused", top1=(90.0,), imported_epochs=1)
    jobs, _ = play(rung_search(proposals=0), imported)
    assert jobs == [Job("aaa", 0, 9), Job("bbb", 0, 9)]


def test_observations_are_means_over_seeds():
    trials = {TrialName("aab", seed): TrialState(status="done", top1=(top1,) * 9) for seed, top1 in ((0, 70), (1, 72))}
    (observation,) = rung_search().observations(trials)
    assert (observation.index, observation.value, observation.seeds) == (1, 71.0, 2)


def test_a_search_ends_with_a_recommendation():
    search = rung_search(required=[], exempt=(), proposals=64, sampler=make_sampler("gp", 0))
    _, trials = play(search)
    assert search.outcome(trials) == "the search recommends ddd"


def test_with_costs_there_is_no_single_recommendation():
    rungs = Asha(LEVELS, costs=dict.fromkeys(LETTERS, 1.0))
    search = rung_search(rungs=rungs)
    _, trials = play(search)
    assert search.outcome(trials) == ""


@pytest.mark.parametrize(("text", "most"), [("30epochs", 30), ("5trials", 5)])
def test_a_budget_is_never_exceeded(text, most):
    search = rung_search(account=BudgetAccount(Budget.parse(text)))
    _, trials = play(search, workers=3)
    spent = len(trials) if "trials" in text else sum(len(trial.top1) for trial in trials.values())
    assert most - 8 <= spent <= most
    assert search.outcome(trials).startswith(f"the budget of {search.account.budget} allows no further trial")


def test_leftover_budget_resumes_paused_trials():
    _, without_budget = play(rung_search())
    _, with_budget = play(rung_search(account=BudgetAccount(Budget.parse("1000epochs"))))
    assert "paused" in {trial.status for trial in without_budget.values()}
    assert {trial.status for trial in with_budget.values()} == {"done"}


def test_hours_are_counted_from_the_start():
    search = rung_search(account=BudgetAccount(Budget.parse("1h"), began=-1e9))
    assert play(search) == ([], {})


def test_without_rungs_nothing_pauses():
    jobs, _ = play(rung_search(rungs=Rungs((9,))))
    assert {job.until for job in jobs} == {9}
