import pytest
import torch

from trainers.rank_context import RankContext


def positions(context, batch_size, micro_batch):
    return [images.tolist() for images in context.micro_batches(batch_size, micro_batch)]


def test_micro_batches_of_the_ranks_lie_side_by_side():
    assert positions(RankContext(0, 2), 10, 2) == [[0, 1], [4, 5], [8]]
    assert positions(RankContext(1, 2), 10, 2) == [[2, 3], [6, 7], [9]]


def test_one_rank_takes_all_images():
    assert positions(RankContext(), 10, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(("size", "micro_batch"), [(1, 3), (2, 4), (3, 2), (4, 100)])
def test_every_image_of_a_batch_belongs_to_one_rank(size, micro_batch):
    taken = []
    for rank in range(size):
        for images in positions(RankContext(rank, size), 24, micro_batch):
            taken += images
    assert sorted(taken) == list(range(24))


def test_several_ranks_have_a_gpu_each():
    assert RankContext(1, 2).device("cuda") == torch.device("cuda", 1)
    assert RankContext().device("cuda") == torch.device("cuda")
    assert RankContext(1, 2).device("cpu") == torch.device("cpu")


def test_a_single_rank_needs_no_process_group():
    context = RankContext()
    context.barrier()
    assert context.sum(torch.tensor([2.0])).item() == 2.0
