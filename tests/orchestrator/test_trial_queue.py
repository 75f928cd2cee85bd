"""A plan on digits, its records and what is trained next: no Ray, and nothing is trained."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrate import make_trial_queue, parser
from orchestrator.plan import make_plan
from orchestrator.trial_queue import exempt_candidates, make_search
from results.records import EpochRecord
from schedulers.race_search import RaceSearch
from schedulers.rung_search import RungSearch
from tests.orchestrator.test_plan import OWN
from tests.support.studies import after_epochs
from trainers.cost import count_all

BUDGET, RUNG = 12, 2  # of the recipe digits


@pytest.fixture
def plan(tmp_path):
    """Makes a plan on digits whose study may be written."""

    def made(*arguments, space="placement"):
        every = ["--space", space, "--results", str(tmp_path), "--sampler", "random", *arguments]
        plan = make_plan(parser().parse_args(every))
        for table in ("trials", "epochs", "costs"):
            (plan.study.folder / table).make()
        return plan

    return made


def taken(agenda, number):
    """The next jobs: trials, and until which epoch."""
    return [agenda.next() for _ in range(number)]


def end(agenda, record, epochs, top1=90.0):
    """What the recorder hears of a trial, as cluster.py tells it."""
    report(agenda, record, epochs, top1)
    agenda.recorder.on_end(record.key, "done" if epochs == BUDGET else "paused")
    agenda.over(record)


def report(agenda, record, epochs, top1=90.0):
    """What it hears of a trial that goes on."""
    agenda.recorder.on_report(*after_epochs(agenda.recorder.records[record.key], epochs, top1))


def interrupted(plan, record, epochs):
    """The rows of a trial whose process ended after so many epochs."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"train_loss": 1.0, "val_loss": 1.0, "top1": 90.0, "lr": 0.1, "seconds": 1.0, "finished_at": at}
    rows = [
        EpochRecord(key=record.key, candidate=record.candidate, seed=0, epoch=epoch, **row)
        for epoch in range(1, epochs + 1)
    ]
    plan.study.write("epochs", record.key, rows)
    plan.study.write("trials", record.key, [replace(record, number=0, epoch=epochs)])


def test_the_published_come_first_and_run_to_the_budget(plan):
    asked = plan()
    agenda = make_trial_queue(asked)
    jobs = taken(agenda, 7)
    assert [record.candidate for record, _ in jobs] == list(map(str, asked.candidates))
    assert [until for _, until in jobs] == [BUDGET] * 7
    assert agenda.next() is None


def test_proposals_follow_and_pause_at_the_first_rung(plan):
    agenda = make_trial_queue(plan("--trials", "2"))
    jobs = taken(agenda, 9)[7:]
    assert [(record.published, until) for record, until in jobs] == [(False, RUNG)] * 2
    assert len({record.candidate for record, _ in jobs}) == 2


def test_without_a_rule_proposals_run_to_the_budget(plan):
    assert taken(make_trial_queue(plan("--trials", "1", "--stopping", "none")), 8)[7][1] == BUDGET


def test_what_has_ended_is_not_trained_again(plan):
    agenda = make_trial_queue(plan())
    for record, until in taken(agenda, 7):
        agenda.recorder.on_start(record.key)
        end(agenda, record, until)
    assert not agenda.waiting()
    assert agenda.outcome() == ""
    assert not make_trial_queue(plan()).waiting()


def test_trials_are_numbered_as_they_begin_and_read_in_that_order(plan):
    agenda = make_trial_queue(plan("--trials", "2"))
    for record, _ in taken(agenda, 9):
        agenda.recorder.on_start(record.key)
    again = make_trial_queue(plan("--trials", "2")).recorder.records
    assert [record.number for record in again.values()] == list(range(9))
    assert list(again) == list(agenda.recorder.records)


def test_a_paused_trial_is_promoted_after_a_restart(plan):
    agenda = make_trial_queue(plan("--trials", "3"))
    for place, (record, until) in enumerate(taken(agenda, 10)):
        end(agenda, record, until, top1=80.0 + place)
    record, until = make_trial_queue(plan("--trials", "3")).next()
    assert (record.number, record.status, record.epoch, until) == (9, "paused", RUNG, 6)


@pytest.mark.parametrize(("epochs", "status"), [(1, "running"), (RUNG, "paused"), (RUNG + 1, "running")])
def test_a_trial_that_reached_its_rung_before_an_interrupt_has_paused(plan, epochs, status):
    asked = plan("--trials", "3")
    record = asked.trial(next(c for c in asked.space if c not in asked.candidates), seed=0)
    interrupted(asked, record, epochs)
    assert make_trial_queue(asked).recorder.records[record.key].status == status
    assert asked.study.trials()["status"].tolist() == [status]  # the study says so too


def test_an_interrupted_trial_that_no_rung_stops_goes_on_from_its_rung(plan):
    asked = plan()
    interrupted(asked, asked.trial(asked.candidates[3], seed=0), RUNG)
    record, until = make_trial_queue(asked).next()
    assert (record.candidate, record.epoch, until) == (str(asked.candidates[3]), RUNG, BUDGET)


def test_published_candidates_are_exempt_unless_they_may_be_stopped(plan):
    asked, hard = plan(), plan("--stop-published")
    assert exempt_candidates(asked) == set(map(str, asked.candidates))
    assert exempt_candidates(hard) == set()
    assert make_trial_queue(hard).next()[1] == RUNG


@pytest.mark.parametrize(("cost", "column"), [("params", 0), ("flops", 1)])
def test_costs_of_the_objective_are_those_of_the_points(plan, tmp_path, cost, column):
    (tmp_path / "mine.py").write_text(OWN)
    asked = plan("--trials", "1", "--objective", f"top1,{cost}", space=str(tmp_path / "mine.py"))
    search, counts = make_search(asked), count_all([*asked.space, *asked.candidates], *asked.shape())
    assert search.rungs.costs == {str(candidate): sizes[column] for candidate, sizes in counts.items()}
    assert search.pool.space.costs.tolist() == [search.rungs.costs[candidate] for candidate in search.pool.candidates]


def test_without_costs_top1_is_the_only_objective(plan):
    search = make_search(plan("--trials", "1", space="design"))
    assert (search.pool.space.costs, search.rungs.costs) == (None, {})


def test_a_race_is_run_over_the_whole_space_and_to_the_budget(plan):
    asked = plan("--race", "0.9", "--budget", "9trials")
    search = make_search(asked)
    assert isinstance(search, RaceSearch)
    assert (search.race.confidence, search.epochs, str(search.account.budget)) == (0.9, BUDGET, "9 trials")
    assert search.pool.candidates == list(map(str, asked.space))
    assert isinstance(make_search(plan()), RungSearch)


def test_a_budget_ends_a_study_and_says_so(plan):
    agenda = make_trial_queue(plan("--budget", "30epochs"))
    assert [job and job[1] for job in taken(agenda, 3)] == [BUDGET, BUDGET, None]
    assert agenda.outcome() == "the budget of 30 epochs allows no further trial"


def test_a_trial_whose_process_died_is_next_at_once_and_three_times_without_an_epoch_is_too_often(plan):
    agenda = make_trial_queue(plan())
    taken(agenda, 2)
    first, other = list(agenda.recorder.records.values())[:2]
    for _ in range(2):
        agenda.over(first)
        agenda.recorder.on_process_death(first.key, "its process died")
        assert agenda.next()[0].key == first.key
    report(agenda, first, 1)
    for deaths in range(3):
        agenda.over(first)
        agenda.recorder.on_process_death(first.key, "its process died")
        assert agenda.recorder.records[first.key].epoch == 1
        assert (agenda.next()[0].key == first.key) == (deaths < 2)
    failed = agenda.recorder.records[first.key]
    assert (failed.status, failed.error) == ("failed", "its process died 3 times")
    assert agenda.recorder.records[other.key].status == "running"
