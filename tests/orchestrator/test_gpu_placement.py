import pytest

from orchestrator.gpu_placement import Gpu, Placement

GPUS = (Gpu("host", "2", "node"), Gpu("host", "5", "node"))


@pytest.mark.parametrize(
    ("gpus", "rank", "where"),
    [
        ((), 0, ""),
        (GPUS[:1], 0, " on GPU 2 of host"),
        (GPUS[:1], None, " on GPU 2 of host"),
        (GPUS, 1, " on GPU 5 of host"),
        (GPUS, None, " on GPUs 2, 5 of host"),
    ],
)
def test_a_rank_has_the_gpu_of_its_number(gpus, rank, where):
    assert Placement("node", "host", 17, gpus).describe(rank) == where


def test_nobody_knows_the_gpu_of_an_unknown_rank():
    assert Placement("node", "host", 17, GPUS).gpu_of(None) is None
    assert Placement("node", "host", 17, ()).gpu_of(0) is None
