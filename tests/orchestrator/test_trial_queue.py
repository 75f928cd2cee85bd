"""Which trials a queue hands out, on digits and with invented results: no Ray, and nothing is trained."""

import time
from dataclasses import replace

import pytest

from orchestrator.trial_queue import TrialQueue, make_search, settle_interrupted_trials
from results.recorder import Recorder
from schedulers.race_search import RaceSearch
from schedulers.rung_search import RungSearch
from tests.support.plans import plan_for, write_space
from tests.support.studies import after_epochs, epoch_record
from trainers.cost import count_all

BUDGET, RUNG = 12, 4  # of the recipe digits


@pytest.fixture
def plan(tmp_path):
    """Makes a plan on digits whose study may be written."""

    def made(*arguments, space="placement"):
        plan = plan_for("--results", tmp_path, "--sampler", "random", *arguments, space=space)
        for table in ("trials", "epochs", "costs"):
            (plan.study.folder / table).make()
        return plan

    return made


def make_queue(plan):
    """The queue of a plan that is run or continued now."""
    known = settle_interrupted_trials(plan)
    return TrialQueue(plan, make_search(plan), Recorder(plan.study, known))


def take(queue, number):
    """The next trials, each with the epochs that it shall have."""
    return [queue.next_trial() for _ in range(number)]


def end(queue, record, epochs, top1=90.0):
    """Report that a trial has ended after so many epochs."""
    report(queue, record, epochs, top1)
    queue.recorder.on_end(record.key, "done" if epochs == BUDGET else "paused")
    queue.on_trial_end(record)


def report(queue, record, epochs, top1=90.0):
    """Report that a trial has completed so many epochs."""
    queue.recorder.on_report(*after_epochs(queue.recorder.records[record.key], epochs, top1))


def interrupted(plan, record, epochs):
    """Store the rows of a trial whose process ended after so many epochs."""
    rows = [epoch_record(record.key, epoch) for epoch in range(1, epochs + 1)]
    plan.study.write("epochs", record.key, rows)
    plan.study.write("trials", record.key, [replace(record, number=0, epoch=epochs)])


def test_the_published_come_first_and_run_to_the_budget(plan):
    asked = plan()
    queue = make_queue(asked)
    jobs = take(queue, 7)
    assert [record.candidate for record, _ in jobs] == list(map(str, asked.candidates))
    assert [until for _, until in jobs] == [BUDGET] * 7
    assert queue.next_trial() is None


def test_proposals_follow_and_pause_at_the_first_rung(plan):
    queue = make_queue(plan("--trials", "2"))
    jobs = take(queue, 9)[7:]
    assert [(record.published, until) for record, until in jobs] == [(False, RUNG)] * 2
    assert len({record.candidate for record, _ in jobs}) == 2


def test_without_a_rule_proposals_run_to_the_budget(plan):
    assert take(make_queue(plan("--trials", "1", "--stopping", "none")), 8)[7][1] == BUDGET


def test_what_has_ended_is_not_trained_again(plan):
    queue = make_queue(plan())
    for record, until in take(queue, 7):
        queue.recorder.on_start(record.key)
        end(queue, record, until)
    assert not queue.has_work()
    assert queue.outcome() == ""
    assert not make_queue(plan()).has_work()


def test_trials_are_numbered_as_they_begin_and_read_in_that_order(plan):
    queue = make_queue(plan("--trials", "2"))
    for record, _ in take(queue, 9):
        queue.recorder.on_start(record.key)
    again = make_queue(plan("--trials", "2")).recorder.records
    assert [record.number for record in again.values()] == list(range(9))
    assert list(again) == list(queue.recorder.records)


def test_a_paused_trial_is_promoted_after_a_restart(plan):
    queue = make_queue(plan("--trials", "3"))
    for place, (record, until) in enumerate(take(queue, 10)):
        end(queue, record, until, top1=80.0 + place)
    record, until = make_queue(plan("--trials", "3")).next_trial()
    assert (record.number, record.status, record.epoch, until) == (9, "paused", RUNG, 8)


@pytest.mark.parametrize(("epochs", "status"), [(1, "running"), (RUNG, "paused"), (RUNG + 1, "running")])
def test_a_trial_that_reached_its_rung_before_an_interrupt_has_paused(plan, epochs, status):
    asked = plan("--trials", "3")
    record = asked.trial(next(c for c in asked.space if c not in asked.candidates), seed=0)
    interrupted(asked, record, epochs)
    assert make_queue(asked).recorder.records[record.key].status == status
    assert asked.study.trials()["status"].tolist() == [status]  # the study says so too


def test_an_interrupted_trial_that_no_rung_stops_goes_on_from_its_rung(plan):
    asked = plan()
    interrupted(asked, asked.trial(asked.candidates[3], seed=0), RUNG)
    record, until = make_queue(asked).next_trial()
    assert (record.candidate, record.epoch, until) == (str(asked.candidates[3]), RUNG, BUDGET)


def longer(plan):
    """The plan with 27 epochs, at the 11th of which published rows are judged."""
    return replace(plan, recipe=replace(plan.recipe, epochs=27, first_rung=9))


def train_to_the_rung(queue, top1_by_number):
    """Train the first rows that a queue hands out until they end; each curve rises towards its top-1."""
    handed_out = take(queue, len(top1_by_number))
    for (record, until), top1 in zip(handed_out, top1_by_number, strict=True):
        changed, rows = after_epochs(queue.recorder.records[record.key], until)
        rows = [replace(row, top1=top1 * (1 - 1 / row.epoch**2)) for row in rows]
        queue.recorder.on_report(replace(changed, top1=rows[-1].top1), rows)
        queue.recorder.on_end(record.key, "done" if until == 27 else "paused")
        queue.on_trial_end(record)
    return [until for _, until in handed_out]


def test_a_futile_row_is_stopped_with_its_evidence_and_the_others_go_on(plan):
    queue = make_queue(longer(plan()))
    assert train_to_the_rung(queue, [90.0, 50.0, 89.9]) == [27, 11, 11]
    record, until = queue.next_trial()
    assert (record.number, until) == (2, 27)
    stopped = list(queue.recorder.records.values())[1]
    assert (stopped.status, stopped.epoch) == ("stopped", 11)
    assert stopped.forecast_high < -0.5
    assert stopped.forecast_p_worse > 0.99
    assert stopped.stopped_because.startswith("at epoch 11 it was forecast to end -39.")


def test_a_study_that_is_cut_before_the_decision_makes_it_when_it_continues(plan):
    train_to_the_rung(make_queue(longer(plan())), [90.0, 50.0])
    assert [*make_queue(longer(plan())).recorder.records.values()][1].status == "paused"
    queue = make_queue(longer(plan()))
    assert queue.has_work()
    assert [record.status for record in queue.recorder.records.values()] == ["done", "stopped"]


def test_keep_published_resumes_a_stopped_row_and_forgets_the_forecast(plan):
    queue = make_queue(longer(plan()))
    train_to_the_rung(queue, [90.0, 50.0])
    queue.has_work()
    again = make_queue(longer(plan("--keep-published")))
    record, until = again.next_trial()
    assert (record.number, record.epoch, until) == (1, 11, 27)
    again.recorder.on_start(record.key)
    resumed = again.recorder.records[record.key]
    assert (resumed.status, resumed.stopped_because, resumed.forecast) == ("running", None, None)


@pytest.mark.parametrize(("cost", "column"), [("params", 0), ("flops", 1)])
def test_costs_of_the_objective_are_those_of_the_points(plan, tmp_path, cost, column):
    asked = plan("--trials", "1", "--objective", f"top1,{cost}", space=write_space(tmp_path))
    search = make_search(asked)
    counts = count_all([*asked.space, *asked.candidates], *asked.input_shape())
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
    queue = make_queue(plan("--budget", "30epochs"))
    assert [job and job[1] for job in take(queue, 3)] == [BUDGET, BUDGET, None]
    assert queue.outcome() == "the budget of 30 epochs allows no further trial"


def test_a_trial_whose_process_died_is_next_at_once(plan):
    queue = make_queue(plan())
    take(queue, 2)
    first = next(iter(queue.recorder.records.values()))
    queue.on_trial_end(first)
    assert queue.next_trial()[0].key == first.key


def test_a_trial_that_a_device_failed_lets_another_go_first(plan):
    queue = make_queue(plan())
    take(queue, 2)
    first, other = list(queue.recorder.records.values())[:2]
    queue.let_another_go_first(first)
    queue.on_trial_end(first)
    assert queue.next_trial()[0].key not in (first.key, other.key)
    assert queue.next_trial()[0].key == first.key


def test_a_trial_that_a_device_failed_is_next_where_there_is_no_other(plan):
    queue = make_queue(plan())
    everything = take(queue, 99)
    first = next(iter(queue.recorder.records.values()))
    assert everything[-1] is None
    queue.let_another_go_first(first)
    queue.on_trial_end(first)
    assert queue.next_trial()[0].key == first.key


def test_a_budget_in_hours_goes_on_when_the_command_executes_itself_again(plan, monkeypatch):
    monkeypatch.setenv("STUDY_BEGAN", str(time.monotonic() - 3 * 3600))
    assert not make_queue(plan("--budget", "2h")).has_work()
    assert make_queue(plan("--budget", "4h")).has_work()
