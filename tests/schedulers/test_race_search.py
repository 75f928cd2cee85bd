"""Searches that race, played through with invented curves."""

from schedulers.budget import Budget, BudgetAccount
from schedulers.race_search import RaceSearch
from schedulers.racing import Race
from schedulers.search import TrialName, TrialState
from tests.support.invented_trials import LETTERS, POOL, play


def race_search(budget):
    return RaceSearch(POOL, Race(0.95), 9, BudgetAccount(Budget.parse(budget)))


def paused_at_first_rung(**state):
    return {TrialName(letters, 0): TrialState(status="paused", top1=(90.0,), **state) for letters in LETTERS}


def test_a_race_ends_with_the_best_and_says_so():
    search = race_search("200trials")
    _, trials = play(search)
    assert search.outcome(trials).startswith("the race is decided: ddd leads with confidence")


def test_a_race_that_runs_out_of_budget_says_so():
    search = race_search("3trials")
    _, trials = play(search)
    assert len(trials) == 3
    assert search.outcome(trials).endswith("the budget of 3 trials allows no further trial")


def test_an_interrupted_race_says_so():
    search = race_search("20trials")
    _, trials = play(search, max_jobs=5)
    assert search.outcome(trials).endswith("it was interrupted")


def test_a_race_without_ended_trials_has_no_leader():
    assert race_search("3trials").outcome({}) == "the race has no leader: no trial has ended"


def test_an_interrupted_trial_goes_on_first():
    interrupted = {TrialName("dda", 3): TrialState(top1=(80.0,))}
    job = race_search("9trials").next_job(interrupted, {})
    assert job.name == ("dda", 3)


def test_a_race_goes_on_with_paused_trials():
    jobs, trials = play(race_search("64trials"), paused_at_first_rung())
    assert jobs[0].seed == 0
    assert {trials[job.name].status for job in jobs} == {"done"}


def test_a_stopped_trial_is_not_resumed():
    stopped = {TrialName(letters, 0): TrialState(status="stopped", top1=(90.0,)) for letters in LETTERS}
    assert race_search("200trials").next_job(stopped, {}).seed == 1


def test_imported_epochs_cost_nothing_and_further_ones_do():
    jobs, _ = play(race_search("20epochs"), paused_at_first_rung(imported_epochs=1))
    assert len(jobs) == 2  # eight epochs each


def test_a_race_whose_trials_all_fail_ends():
    search, trials = race_search("50epochs"), {}
    while job := search.next_job(trials, {}):
        trials[job.name] = TrialState(status="failed")
    assert len(trials) == 42  # one epoch each, and nine for the next must be left
