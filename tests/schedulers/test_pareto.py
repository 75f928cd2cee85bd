"""Pareto dominance of points that can be drawn by hand: larger is better on both axes."""

import numpy as np

from schedulers.pareto import dominance, dominated, layers

CORNER = [2.0, 2.0]


def scores(*rows):
    return np.array(rows, dtype=float)


def test_better_in_one_and_equal_in_the_other_dominates():
    assert dominance(scores(CORNER, [2.0, 1.0])).tolist() == [[False, True], [False, False]]


def test_equal_rows_do_not_dominate_each_other():
    assert not dominance(scores(CORNER, CORNER)).any()


def test_what_is_better_in_one_objective_only_is_not_dominated():
    assert dominated(scores([3.0, 1.0], [1.0, 3.0], [1.0, 1.0])).tolist() == [False, False, True]


def test_nan_neither_dominates_nor_is_dominated():
    assert dominated(scores([np.nan, 9.0], CORNER, [1.0, np.nan])).tolist() == [False, False, False]


def test_of_one_objective_only_the_largest_is_on_the_front():
    assert dominated(scores([1.0], [3.0], [3.0], [-np.inf])).tolist() == [True, False, False, True]


def test_layers_are_fronts_of_what_remains():
    assert layers(scores([3.0, 1.0], [1.0, 3.0], [2.0, 0.5], [0.0, 0.0])).tolist() == [0, 0, 1, 2]


def test_of_equal_rows_the_first_is_in_the_better_layer():
    assert layers(scores(CORNER, CORNER, CORNER)).tolist() == [0, 1, 2]


def test_nothing_has_no_layers():
    assert layers(np.empty((0, 2))).tolist() == []
