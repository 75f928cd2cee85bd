from dataclasses import replace

import pytest
import torch

from tests.support.loaders import make_loader, same_batches, train_epoch


def test_images_in_memory_are_normalised(shapes, quick):
    loader = make_loader(shapes, quick)
    images = loader.normalise(loader.train_images)
    assert images.mean().abs() < 1e-4
    assert images.std() == pytest.approx(1, abs=1e-3)
    assert loader.mean == pytest.approx([float(loader.train_images.float().mean() / 255)])


def test_an_epoch_in_memory_repeats_for_the_same_seed_alone(shapes, quick):
    loader = make_loader(shapes, quick)
    assert same_batches(train_epoch(loader, seed=1), train_epoch(loader, seed=1))
    assert not same_batches(train_epoch(loader, seed=1), train_epoch(loader, seed=2))


def test_two_ranks_see_what_one_sees(shapes, quick):
    one = train_epoch(make_loader(shapes, quick), size=16)
    two = [train_epoch(make_loader(shapes, quick, rank, 2), size=16) for rank in range(2)]
    for number, (images, labels) in enumerate(one):
        assert torch.equal(images, torch.cat([batches[number][0] for batches in two]))
        assert torch.equal(labels, torch.cat([batches[number][1] for batches in two]))


def test_mixing_turns_labels_into_shares_of_classes(shapes, quick):
    loader = make_loader(shapes, replace(quick, mixup=0.8, cutmix=1.0))
    images, labels = train_epoch(loader, size=16)[0]
    assert (images.shape, labels.shape) == ((16, 1, 16, 16), (16, 2))
    assert torch.allclose(labels.sum(1), torch.ones(16))
