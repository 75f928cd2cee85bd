import numpy as np
import pandas as pd
import pytest

from results.report import figure_style, figures
from results.report.figure_data import head_counts, trade_offs
from tests.support.figures import costs, finished, row


def test_figures_are_drawn_the_same_each_time():
    trials = finished(one=[90.0, 92.0], two=[93.0])
    points = head_counts(trials, costs(one=500.0, two=400.0), [row("one", 1), row("two", 2)])
    first, second = (figure_style.files(figures.draw_head_counts(points, "$x$ & <y>")) for _ in range(2))
    assert first == second
    assert first["png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(("slow", "scale"), [(100.0, "linear"), (10.0, "log")])
def test_a_wide_range_of_costs_has_a_logarithmic_axis(slow, scale):
    points = trade_offs(finished(fast=[90.0], slow=[95.0]), costs(fast=300.0, slow=slow), published=["fast"])
    figure = figures.draw_trade_offs(points, "title")
    assert figure.axes[1].get_xscale() == scale
    figure_style.files(figure)


def test_learning_curves_colour_the_published_placements():
    curves = pd.DataFrame({"placement": ["a-a", "b-b"], "epoch": 1, "mean": 90.0, "low": 89.0, "high": 91.0})
    figure = figures.draw_learning_curves(curves.assign(published=[True, False]), rungs=[1], title="")
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["rung", "A A", "others"]
    figure_style.files(figure)


def test_effects_without_an_interval_have_no_error_bar():
    effects = pd.DataFrame({"factor": ["stage 2"], "level": "ska", "effect": 1.0, "low": np.nan, "high": np.nan})
    figure = figures.draw_effects(effects, "")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["stage 2: ska"]
    figure_style.files(figure)
