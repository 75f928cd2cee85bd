"""Budgets by hand."""

import time

import pytest

from schedulers.budget import Budget, BudgetAccount
from schedulers.search import Job, TrialName, TrialState


@pytest.mark.parametrize("text", ["", "h", "0h", "0trials", "12", "12 days", "-3trials", "1.5trials", "nanh"])
def test_a_meaningless_budget_is_refused(text):
    with pytest.raises(ValueError, match="expected hours, epochs or trials"):
        Budget.parse(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("12h", "12 hours"), ("1.5h", "1.5 hours"), ("300epochs", "300 epochs"), ("4 trials", "4 trials")],
)
def test_a_budget_is_shown_with_its_unit(text, shown):
    assert str(Budget.parse(text)) == shown


def test_only_the_total_in_its_unit_counts():
    assert Budget(10, "epochs").allows(hours=99, epochs=10, trials=99)
    assert not Budget(10, "trials").allows(hours=0, epochs=0, trials=11)


def test_active_jobs_are_paid_in_advance():
    account = BudgetAccount(Budget(10, "epochs"))
    active = {TrialName("a", 0): Job("a", 0, 6)}
    trials = {TrialName("a", 0): TrialState(top1=(1.0, 2.0))}
    assert account.allows(Job("b", 0, 4), trials, active)
    assert not account.allows(Job("b", 0, 5), trials, active)


def test_an_imported_trial_counts_once_it_is_trained_further():
    account = BudgetAccount(Budget(1, "trials"))
    imported = {TrialName(name, 0): TrialState(status="paused", top1=(1.0,), imported_epochs=1) for name in "ab"}
    assert account.allows(Job("a", 0, 2), imported, {})
    assert not account.allows(Job("a", 0, 2), imported, {TrialName("b", 0): Job("b", 0, 2)})


def test_hours_run_from_the_beginning():
    account = BudgetAccount(Budget(1, "h"), began=time.monotonic() - 3601)
    assert not account.allows(Job("a", 0, 1), {}, {})


def test_without_a_budget_everything_is_allowed():
    assert BudgetAccount().allows(Job("a", 0, 10**9), {}, {})
