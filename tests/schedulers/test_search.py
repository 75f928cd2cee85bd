"""What is trained next, played through with invented curves and one or more workers: no model, no Ray."""

from itertools import product

import numpy as np
import pytest

from schedulers.budget import Budget
from schedulers.encoded_space import EncodedSpace
from schedulers.racing import Race
from schedulers.rungs import Asha, Rungs
from schedulers.samplers.simple import make_sampler
from schedulers.search import BudgetAccount, Job, Pool, RaceSearch, RungSearch, TrialState

LEVELS = (1, 3, 9)
LETTERS = ["".join(letters) for letters in product("abcd", repeat=3)]
POOL = Pool(LETTERS, EncodedSpace(np.array(list(product(range(4), repeat=3))), (False,) * 3))


def curve(candidate, seed, epochs):
    """Later letters are better, and everything rises; a seed is worth a tenth of a point."""
    level = 50 + sum(ord(letter) - ord("a") for letter in candidate) + 0.1 * seed
    return tuple(level + 2 * epoch for epoch in range(epochs))


def exploration(**changes):
    settings = {"pool": POOL, "sampler": make_sampler("random", 0), "rungs": Asha(LEVELS), "required": ["aaa", "bbb"]}
    settings |= {"proposals": 10, "seeds": 1, "spared": {"aaa", "bbb"}}
    return RungSearch(**{**settings, **changes})


def play(search, trials=None, workers=1, jobs=None, most=10_000):
    """Run a search until it is over or `most` jobs were begun: the jobs, and what became of the trials."""
    trials, live, jobs = dict(trials or {}), {}, [] if jobs is None else jobs
    while True:
        while len(live) < workers and len(jobs) < most and (job := search.next(trials, live)):
            jobs.append(job)
            live[job.name] = job
            before = trials.get(job.name, TrialState())
            trials[job.name] = TrialState(status="running", top1=before.top1)
        if not live:
            return jobs, trials
        job = live.pop(next(iter(live)))
        status = "done" if job.until == LEVELS[-1] else "paused"
        trials[job.name] = TrialState(status=status, top1=curve(job.candidate, job.seed, job.until))


def test_required_candidates_come_first_and_run_to_the_budget():
    jobs, _ = play(exploration())
    assert jobs[:2] == [Job("aaa", 0, 9), Job("bbb", 0, 9)]


def test_each_proposal_is_another_candidate_and_none_is_required():
    _, trials = play(exploration(proposals=62))
    assert len(trials) == len(set(trials)) == 64


def test_one_worker_pauses_and_promotes():
    jobs, trials = play(exploration())
    first = [job for job in jobs if job.until == 1]
    assert len(first) == 10
    assert {job.until for job in jobs} == {1, 3, 9}
    promoted = [trials[job.name].top1[0] for job in jobs if job.until == 3]
    assert max(trial.top1[0] for name, trial in trials.items() if name[0] not in ("aaa", "bbb")) in promoted


@pytest.mark.parametrize("sampler", ["random", "gp", "tpe", "evolution"])
def test_a_search_that_is_cut_anywhere_goes_on_as_if_it_were_not(sampler):
    settings = {"sampler": make_sampler(sampler, 0), "proposals": 6}
    whole, trials = play(exploration(**settings))
    for cut in range(0, len(whole), 3):
        jobs, before = play(exploration(**settings), most=cut)
        rest, after = play(exploration(**{**settings, "sampler": make_sampler(sampler, 0)}), before)
        assert jobs + rest == whole
        assert after == trials


def test_an_interrupted_trial_goes_on_first():
    trials = {("aaa", 0): TrialState(status="done", top1=curve("aaa", 0, 9)), ("ccc", 0): TrialState(top1=(1.0, 2.0))}
    assert exploration().next(trials, {}) == Job("ccc", 0, 3)
    assert exploration().next(trials, {("ccc", 0): Job("ccc", 0, 3)}) == Job("bbb", 0, 9)


def test_what_rungs_stopped_before_it_was_spared_goes_on_to_the_budget():
    stopped = TrialState(status="paused", top1=curve("aaa", 0, 1))
    assert exploration().next({("aaa", 0): stopped}, {}) == Job("aaa", 0, 9)


def test_every_candidate_gets_its_other_seeds_after_the_proposals():
    _, trials = play(exploration(seeds=2, proposals=3))
    assert [seed for _, seed in trials] == [0] * 5 + [1] * 5
    assert {name[0] for name in trials if name[1] == 1} == {name[0] for name in trials if name[1] == 0}


def test_several_workers_train_the_same_candidates_as_one():
    alone, together = (play(exploration(), workers=workers)[1] for workers in (1, 4))
    assert alone.keys() == together.keys()


def test_failed_and_diverged_trials_are_neither_repeated_nor_promoted():
    trials = {(name, 0): TrialState(status="done", top1=curve(name, 0, 9)) for name in ("aaa", "bbb")}
    trials |= {("ddd", 0): TrialState(status="failed"), ("ddc", 0): TrialState(status="diverged", top1=(99.0,))}
    jobs, _ = play(exploration(proposals=8), trials)
    assert not {("ddd", 0), ("ddc", 0)} & {job.name for job in jobs}
    assert len({job.candidate for job in jobs}) == 6


def test_reused_trials_are_known_to_the_sampler_but_no_proposals():
    done = TrialState(status="done", top1=curve("ddd", 0, 9), elsewhere=9)
    jobs, trials = play(exploration(proposals=3), {("ddd", 0): done})
    assert len(trials) == 6
    assert ("ddd", 0) not in {job.name for job in jobs}


def test_what_was_taken_over_is_compared_with_but_never_promoted():
    stopped = {(letters, 0): TrialState(status="paused", top1=(90.0,), elsewhere=1) for letters in LETTERS[-9:]}
    jobs, _ = play(exploration(proposals=0), stopped)
    assert jobs == [Job("aaa", 0, 9), Job("bbb", 0, 9)]


def test_epochs_that_another_study_trained_cost_nothing_and_further_ones_do():
    stopped = {(letters, 0): TrialState(status="paused", top1=(90.0,), elsewhere=1) for letters in LETTERS}
    race = RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse("20epochs")))
    jobs, _ = play(race, stopped)
    assert len(jobs) == 2  # eight epochs each


def test_a_race_whose_trials_all_fail_ends():
    race, trials = RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse("50epochs"))), {}
    while job := race.next(trials, {}):
        trials[job.name] = TrialState(status="failed")
    assert len(trials) == 42  # one epoch each, and nine for the next must be left


def test_an_interrupted_race_says_so():
    race = RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse("20trials")))
    _, trials = play(race, most=5)
    assert race.outcome(trials).endswith("it was interrupted")


def test_a_search_ends_with_a_recommendation():
    search = exploration(required=[], spared=(), proposals=64, sampler=make_sampler("gp", 0))
    _, trials = play(search)
    assert search.outcome(trials) == "the search recommends ddd"


@pytest.mark.parametrize(("text", "most"), [("30epochs", 30), ("5trials", 5)])
def test_a_budget_is_never_exceeded(text, most):
    search = exploration(purse=BudgetAccount(Budget.parse(text)))
    _, trials = play(search, workers=3)
    spent = len(trials) if "trials" in text else sum(len(trial.top1) for trial in trials.values())
    assert most - 8 <= spent <= most
    assert search.outcome(trials).startswith(f"the budget of {search.purse.budget} allows no further trial")


def test_what_a_budget_has_left_is_spent_on_what_pauses():
    _, stingy = play(exploration())
    _, generous = play(exploration(purse=BudgetAccount(Budget.parse("1000epochs"))))
    assert "paused" in {trial.status for trial in stingy.values()}
    assert {trial.status for trial in generous.values()} == {"done"}


def test_hours_are_counted_from_the_start():
    search = exploration(purse=BudgetAccount(Budget.parse("1h"), began=-1e9))
    assert play(search) == ([], {})


@pytest.mark.parametrize("text", ["", "h", "0h", "12", "12 days", "-3trials", "1.5trials", "nanh"])
def test_a_budget_that_says_nothing_is_refused(text):
    with pytest.raises(ValueError, match="expected hours, epochs or trials"):
        Budget.parse(text)


def test_a_race_ends_with_the_best_and_says_so():
    race = RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse("200trials")))
    _, trials = play(race)
    assert race.outcome(trials).startswith("the race is decided: ddd leads with confidence")


def test_a_race_that_runs_out_of_budget_says_so():
    race = RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse("3trials")))
    _, trials = play(race)
    assert len(trials) == 3
    assert race.outcome(trials).endswith("the budget of 3 trials allows no further trial")


def test_a_race_goes_on_with_what_rungs_stopped():
    stopped = {(letters, 0): TrialState(status="paused", top1=(90.0,)) for letters in LETTERS}
    jobs, trials = play(RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse("64trials"))), stopped)
    assert jobs[0].seed == 0
    assert {trials[job.name].status for job in jobs} == {"done"}


def test_without_rungs_nothing_pauses():
    jobs, _ = play(exploration(rungs=Rungs((9,))))
    assert {job.until for job in jobs} == {9}
