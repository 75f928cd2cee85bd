from benchmarks.proposals import proposal_seconds
from tests.support.invented_spaces import full_space


def test_each_proposal_takes_some_time():
    seconds = proposal_seconds("random", full_space(3, 3), trials=5)
    assert len(seconds) == 5
    assert min(seconds) > 0
