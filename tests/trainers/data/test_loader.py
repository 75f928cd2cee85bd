from dataclasses import replace

import pytest
import torch

from tests.support.loaders import make_loader, mixed_groups, same_batches
from trainers.data.loader import pad_batch
from trainers.evaluation import PADDING


@pytest.mark.parametrize("kind", ["in memory", "streamed"])
def test_neither_micro_batches_nor_ranks_change_what_is_mixed_with_what(kind, shapes, stream, quick, tiny_ablation):
    data, recipe = (shapes, quick) if kind == "in memory" else (stream, tiny_ablation)
    recipe = replace(recipe, batch_size=16, micro_batch=8, mixup=0.8, cutmix=1.0)
    expected = mixed_groups(make_loader(data, recipe), size=8)
    assert len(expected) == 2 * make_loader(data, recipe).steps
    assert len({tuple(labels[0].tolist()) for _, labels in expected.values()}) > 2  # groups have weights of their own
    for size in (2, 4):
        found = mixed_groups(make_loader(data, recipe), size)
        assert same_batches(found.values(), expected.values())
    ranks = [mixed_groups(make_loader(data, recipe, rank, 2), size=4) for rank in range(2)]
    assert same_batches([{**ranks[0], **ranks[1]}[key] for key in expected], expected.values())


def test_each_rank_evaluates_its_slice(shapes, quick):
    labels = [
        torch.cat([labels for _, labels in make_loader(shapes, quick, rank, 3).test_batches(5)]) for rank in range(3)
    ]
    assert [part.tolist() for part in labels] == [shapes.test_labels[rank::3].tolist() for rank in range(3)]


@pytest.mark.parametrize("kind", ["in memory", "streamed"])
def test_a_rank_beyond_the_last_image_evaluates_none(kind, shapes, stream, quick, tiny_ablation):
    data, recipe = (shapes, quick) if kind == "in memory" else (stream, tiny_ablation)
    loader = make_loader(data, recipe, rank=18, ranks=19)
    assert list(loader.val_batches(5)) == []
    assert list(loader.val_batches(5, padded=True)) == []


@pytest.mark.parametrize("kind", ["in memory", "streamed"])
def test_the_last_batch_of_an_evaluation_is_filled_up_with_what_counts_nowhere(
    kind, shapes, stream, quick, tiny_ablation
):
    loader = make_loader(shapes, quick) if kind == "in memory" else make_loader(stream, tiny_ablation)
    plain = list(loader.test_batches(5))
    padded = list(loader.test_batches(5, padded=True))
    assert [len(images) for images, _ in padded] == [5] * len(plain)
    *full, (images, labels) = padded
    number = len(plain[-1][0])
    assert number < 5
    assert same_batches([*full, (images[:number], labels[:number])], plain)
    assert labels[number:].tolist() == [PADDING] * (5 - number)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_batch_is_the_recipes_unless_there_are_fewer_images(shapes, quick):
    assert make_loader(shapes, quick).batch_size == 16
    assert make_loader(shapes, quick).steps == 54 // 16
    assert make_loader(shapes, replace(quick, batch_size=1000)).batch_size == 54  # 64, less 15 % held out
    assert make_loader(shapes, replace(quick, batch_size=1000), ranks=4).batch_size == 54
    assert make_loader(shapes, replace(quick, batch_size=15, mixup=0.8), ranks=4).batch_size == 14  # whole pairs


def test_too_few_images_for_the_ranks_are_refused(shapes, quick):
    with pytest.raises(ValueError, match="shapes: 54 images to train on, expected at least 55"):
        make_loader(shapes, quick, ranks=55)
    with pytest.raises(ValueError, match="shapes: 54 images to train on, expected at least 56"):
        make_loader(shapes, replace(quick, mixup=0.8), ranks=28)


def test_a_batch_of_full_size_is_not_padded():
    images, labels = torch.ones(2, 3, 4, 4), torch.zeros(2)
    assert pad_batch(images, labels, 2)[0] is images
    assert pad_batch(images, labels, 3)[0][2].eq(0).all()
