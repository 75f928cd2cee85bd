import numpy as np
import pandas as pd
import pytest

from benchmarks.verdicts import Source, false_tables, pairs, planted, rates, theory
from results.statistics.power import POWER
from tests.support.paths import SHARED


def test_a_planted_difference_has_the_power_that_was_asked_for():
    source = Source(np.array([[90.0, 90.2, 90.4], [92.0, 92.1, 92.2]]), sd=0.1)
    assert theory(source, planted(source, POWER, 5), 5) == pytest.approx(POWER)


def test_a_clear_difference_is_seen_each_time():
    source = Source(np.array([[90.0, 90.2, 90.4]]), sd=0.1)
    found = rates(pairs(source, seeds=3, delta=10.0, repeats=2), delta=10.0)
    assert (found["verdict"], found["Student"]) == (1, 1)


@pytest.fixture(scope="module")
def source():
    path = SHARED / "tabular" / "nasbench201_cifar10.parquet"
    if not path.exists():
        pytest.skip("needs the NAS-Bench-201 accuracies, which are not part of the repository")
    return Source.trained(pd.read_parquet(path))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_few_rows_of_equals_win_or_lose(source, seeds):
    # A rule that errs in 5 % comes to 23 of 250 in 1 of 200 runs, one that errs in 15 % nearly always.
    wrong = 250 * rates(pairs(source, seeds, 0.0, 250), 0.0)["verdict"]
    assert 0 < wrong < 23


@pytest.mark.slow
def test_few_tables_of_equals_hold_a_winner(source):
    assert false_tables(source, 3, 100) < 0.13


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_the_verdict_costs_less_than_five_points_of_students_power(source, seeds):
    delta = planted(source, POWER, seeds)
    found = rates(pairs(source, seeds, delta, 500), delta)
    assert found["Student"] == pytest.approx(POWER, abs=0.054)  # three standard errors
    assert found["verdict"] > found["Student"] - 0.05
