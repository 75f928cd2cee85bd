import numpy as np
import pandas as pd
import pytest
from scipy import stats

from results.report.figure_data import head_counts, head_trends, learning_curves, on_pareto_front, trade_offs
from tests.support.figures import BASE, costs, finished, row


def test_learning_curves_average_seeds():
    trials = pd.DataFrame([{"key": f"{BASE}-{seed}", "placement": BASE, "status": "done"} for seed in (0, 1)])
    epochs = pd.DataFrame({"key": [f"{BASE}-0", f"{BASE}-1"], "epoch": [1, 1], "top1": [90.0, 94.0]})
    points = learning_curves(trials, epochs, [BASE])
    where = {"placement": BASE, "published": True, "epoch": 1}
    assert points.to_dict("records") == [{**where, "mean": 92.0, "low": 90.0, "high": 94.0, "seeds": 2}]


def test_a_learning_curve_ends_with_the_first_of_its_seeds():
    trials = pd.DataFrame({"key": ["a", "b"], "placement": BASE, "status": "done"})
    epochs = pd.DataFrame({"key": ["a", "a", "b"], "epoch": [1, 2, 1], "top1": [50.0, 99.0, 40.0]})
    assert learning_curves(trials, epochs, [BASE])["epoch"].tolist() == [1]


def test_published_learning_curves_come_first_and_in_their_order():
    placements = ["a", "b", "c"]
    trials = pd.DataFrame({"key": placements, "placement": placements, "status": "done"})
    epochs = pd.DataFrame({"key": placements, "epoch": 1, "top1": 50.0})
    points = learning_curves(trials, epochs, ["c", "b"])
    assert points["placement"].tolist() == ["c", "b", "a"]
    assert points["published"].tolist() == [True, True, False]


def test_a_running_seed_does_not_cut_the_curve_of_those_that_have_ended():
    trials = pd.DataFrame({"key": ["a", "b"], "placement": BASE, "status": ["done", "running"]})
    epochs = pd.DataFrame({"key": ["a", "a", "b"], "epoch": [1, 2, 1], "top1": [50.0, 60.0, 40.0]})
    assert learning_curves(trials, epochs, [BASE])["mean"].tolist() == [50.0, 60.0]


def test_figure_3_has_a_point_for_each_series_and_head_count():
    trials = finished(one=[90.0, 92.0], two=[93.0])
    points = head_counts(trials, costs(one=500.0, two=400.0), [row("one", 1), row("two", 2), row("two", 2, "SKA")])
    assert points[["series", "heads", "mean", "seeds"]].values.tolist() == [
        ["CSKA", 1, 91.0, 2],
        ["CSKA", 2, 93.0, 1],
        ["SKA", 2, 93.0, 1],
    ]
    assert points["images_per_second"].tolist() == [500.0, 400.0, 400.0]


def test_the_intervals_of_figure_3_are_students():
    values = [90.0, 92.0, 91.5]
    points = head_counts(finished(one=values, two=[93.0]), costs(one=1.0), [row("one", 1), row("two", 2)])
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert points[["low", "high"]].values.tolist()[0] == pytest.approx([low, high])
    assert points[["low", "high"]].iloc[1].isna().all()


def test_what_is_not_finished_is_no_point():
    trials = finished(one=[90.0, 92.0]).assign(status="paused")
    assert head_counts(trials, costs(one=1.0), [row("one", 1)]).empty


def test_a_doubling_of_the_heads_has_a_slope():
    trials = finished(one=[90.0, 90.2], two=[91.0, 91.2], four=[92.0, 92.2])
    points = head_counts(trials, costs(one=1.0), [row("one", 1), row("two", 2), row("four", 4)])
    trend = head_trends(trials, points).iloc[0]
    assert trend.slope == pytest.approx(1.0)
    assert (trend.verdict, trend.trials) == ("rises", 6)


def test_slopes_are_corrected_for_their_number():
    noisy = {"one": [90.0, 90.6], "two": [90.4, 91.0], "four": [90.9, 91.3]}
    rows = [row(name, heads, series) for series in "ab" for heads, name in ((1, "one"), (2, "two"), (4, "four"))]
    trials = finished(**noisy)
    alone, among = (head_trends(trials, head_counts(trials, costs(one=1.0), some)).iloc[0] for some in (rows[:3], rows))
    assert among.p == pytest.approx(2 * alone.p)


def test_one_head_count_has_no_slope():
    trials = finished(one=[90.0, 90.2, 90.1])
    assert head_trends(trials, head_counts(trials, costs(one=1.0), [row("one", 1)])).iloc[0].verdict == "unresolved"


def test_the_front_is_what_no_other_beats():
    trials = finished(fast=[90.0], slow=[95.0], beaten=[89.0])
    points = trade_offs(trials, costs(fast=300.0, slow=100.0, beaten=200.0), published=["fast"]).set_index("placement")
    assert points["front_speed"].to_dict() == {"beaten": False, "fast": True, "slow": True}
    assert points["front_flops"].to_dict() == {"beaten": False, "fast": True, "slow": True}
    assert points.index[points["published"]].tolist() == ["fast"]


def test_a_row_is_on_the_pareto_front_if_no_other_is_better():
    top1 = pd.Series([70.0, 72.0, 72.0, 71.0, None])
    flops = pd.Series(pd.array([1, 2, 2, 3, 1], dtype="Int64"))
    assert on_pareto_front(top1, -flops).tolist() == [True, True, True, False, False]
    assert on_pareto_front(top1, flops).tolist() == [False, True, True, True, False]


def test_a_row_without_a_cost_is_not_on_the_pareto_front():
    cost = pd.Series(pd.array([1, None], dtype="Int64"))
    assert on_pareto_front(pd.Series([70.0, 90.0]), -cost).tolist() == [True, False]
