import torch

from trainers.mixing_groups import mixing_groups
from trainers.rank_context import RankContext


def test_ranks_take_whole_groups_in_turn():
    groups = mixing_groups(20, 4, ranks=2, multiple=2)
    numbers = [[group.number for group in RankContext(rank, 2).of_rank(groups)] for rank in range(2)]
    assert numbers == [[0, 2, 4], [1, 3]]


def test_several_ranks_have_a_gpu_each():
    assert RankContext(1, 2).device("cuda") == torch.device("cuda", 1)
    assert RankContext().device("cuda") == torch.device("cuda")
    assert RankContext(1, 2).device("cpu") == torch.device("cpu")


def test_a_single_rank_needs_no_process_group():
    context = RankContext()
    context.barrier()
    assert context.sum(torch.tensor([2.0])).item() == 2.0
