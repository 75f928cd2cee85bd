import numpy as np

from schedulers.encoded_space import CandidatePool, EncodedSpace

SPACE = EncodedSpace(np.array([[0, 0], [0, 1], [1, 0]]), (False, True))


def test_a_space_is_as_long_as_its_candidates():
    assert len(SPACE) == 3


def test_a_pool_numbers_its_candidates_as_the_space_does():
    assert CandidatePool(["x", "y", "z"], SPACE).indices() == {"x": 0, "y": 1, "z": 2}
