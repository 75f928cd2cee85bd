from trainers.rank_context import RankContext


def test_parts_of_a_batch_lie_side_by_side():
    assert [part.tolist() for part in RankContext(0, 2).parts(10, 2)] == [[0, 1], [4, 5], [8]]
    assert [part.tolist() for part in RankContext(1, 2).parts(10, 2)] == [[2, 3], [6, 7], [9]]
    assert [part.tolist() for part in RankContext().parts(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_every_image_of_a_batch_is_somebodys():
    for size, micro in [(1, 3), (2, 4), (3, 2), (4, 100)]:
        positions = [
            i for rank in range(size) for part in RankContext(rank, size).parts(24, micro) for i in part.tolist()
        ]
        assert sorted(positions) == list(range(24))
