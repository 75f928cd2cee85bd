from dataclasses import replace

import pandas as pd

from results.statistics.finished import finished_top1, finished_trials, stopped_rows
from tests.support.studies import trial_record


def trials(*rows):
    return pd.DataFrame(rows, columns=["placement", "seed", "status", "test_top1"])


def test_only_trials_that_ran_their_whole_budget_are_finished():
    ends = trials(("a", 0, "done", 90.0), ("a", 1, "paused", 91.0), ("a", 2, "diverged", None), ("a", 3, "done", None))
    assert finished_trials(ends)["seed"].tolist() == [0]


def test_accuracies_are_ordered_by_seed():
    found = finished_top1(trials(("a", 2, "done", 92.0), ("a", 0, "done", 90.0), ("b", 1, "done", 80.0)))
    assert found == {"a": [90.0, 92.0], "b": [80.0]}


def test_a_placement_without_finished_trials_has_no_accuracies():
    assert finished_top1(trials(("a", 0, "running", None))) == {}


def test_of_a_stopped_row_the_first_seed_and_only_with_evidence_counts():
    stopped = [
        replace(trial_record("a", seed), status="stopped", epoch=5 - seed, stopped_because=because)
        for seed, because in ((1, "forecast"), (0, "forecast"), (2, None))
    ]
    rows = stopped_rows(pd.DataFrame([vars(record) for record in stopped]))
    assert rows[["placement", "stopped_epoch"]].values.tolist() == [["a", 5]]
