import pytest

from trainers.mixing_groups import MixingGroup, mixing_groups


def sizes(batch_size, group_size, ranks=1, multiple=2):
    return [len(group) for group in mixing_groups(batch_size, group_size, ranks=ranks, multiple=multiple)]


def test_the_groups_of_the_imagenet_recipes_have_128_images_on_every_number_of_ranks():
    assert sizes(4096, 128) == sizes(4096, 128, ranks=8) == [128] * 32


def test_a_batch_that_is_no_multiple_of_the_group_has_groups_of_nearly_one_size():
    assert sizes(10, 4) == [2, 4, 4]
    assert sizes(10, 4, multiple=1) == [3, 3, 4]


def test_a_group_shrinks_where_there_are_fewer_than_ranks():
    assert sizes(16, 128) == [16]
    assert sizes(16, 128, ranks=2) == [8, 8]
    assert sizes(10, 128, ranks=4) == [2, 2, 2, 4]


@pytest.mark.parametrize("ranks", [1, 3, 5])
@pytest.mark.parametrize("group_size", [1, 6, 100])
def test_the_groups_cover_a_batch_in_order(ranks, group_size):
    groups = mixing_groups(30, group_size, ranks=ranks, multiple=2)
    assert [group.number for group in groups] == list(range(len(groups)))
    assert [group.start for group in groups] == [0, *(group.stop for group in groups[:-1])]
    assert groups[-1].stop == 30
    assert all(len(group) >= 2 for group in groups)


def test_a_group_is_split_into_as_few_passes_as_memory_allows():
    assert [MixingGroup(0, 0, 128).passes(size) for size in (200, 128, 64, 48, 1)] == [1, 1, 2, 3, 128]
