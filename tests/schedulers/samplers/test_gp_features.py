import numpy as np

from schedulers.encoded_space import EncodedSpace
from schedulers.samplers.gp_features import Features
from tests.support.invented_spaces import full_space


def test_an_unordered_axis_is_one_hot():
    features = Features.of(full_space(3))
    np.testing.assert_array_equal(features.rows, np.eye(3))
    assert features.term.tolist() == [0, 0, 0]


def test_on_an_ordinal_axis_neighbours_are_closer():
    features = Features.of(full_space(3, ordinal=True))
    steps = features.rows[:, features.term == 1]
    distances = ((steps - steps[0]) ** 2).sum(axis=1)
    np.testing.assert_allclose(distances, [0, 1, 2], rtol=1e-6)


def test_squares_sum_to_one_within_each_term():
    features = Features.of(full_space(3, 4, ordinal=True))
    for term in range(features.term.max() + 1):
        np.testing.assert_allclose((features.rows[:, features.term == term] ** 2).sum(axis=1), 1, rtol=1e-6)


def test_an_axis_with_one_level_has_no_columns():
    assert Features.of(full_space(1, 3)).rows.shape == (3, 3)


def test_a_space_of_one_candidate_has_a_column():
    assert Features.of(EncodedSpace(np.array([[4]]), (False,))).rows.shape == (1, 1)
