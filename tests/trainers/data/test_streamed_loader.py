from dataclasses import replace

import pytest
import torch

from tests.support.loaders import make_loader, same_batches, train_epoch
from trainers.data.loader import group_seed
from trainers.data.seeds import seed_everything

from timm.data.random_erasing import RandomErasing


def test_an_epoch_of_a_stream_sees_every_training_image_once(stream, tiny_ablation):
    loader = make_loader(stream, replace(tiny_ablation, mixup=0.0, cutmix=0.0, batch_size=4))
    labels = torch.cat([labels for _, labels in train_epoch(loader)])
    assert len(labels) == 36  # 38 that are not held out, in whole batches
    assert sorted([*loader.train_indices, *loader.val_indices]) == list(range(40))
    assert len(loader.val_indices) == 2  # one of each class, although 2 % would be less


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_batch(stream, tiny_ablation, workers):
    alone = make_loader(stream, tiny_ablation)
    helped = make_loader(stream, tiny_ablation, workers=workers)
    assert same_batches(train_epoch(alone), train_epoch(helped))
    assert same_batches(alone.val_batches(3), helped.val_batches(3))


def test_a_large_evaluation_batch_is_decoded_in_groups(stream, tiny_ablation):
    whole = make_loader(stream, tiny_ablation).test_batches(7)
    parts = make_loader(stream, replace(tiny_ablation, micro_batch=2)).test_batches(7)
    assert same_batches(parts, whole)


def test_rectangles_of_the_mixed_images_are_erased(stream, tiny_ablation):
    recipe = replace(tiny_ablation, mixup=0.8, cutmix=1.0, random_erasing=0.0)
    loader = make_loader(stream, recipe)
    images, labels = next(loader.train_batches(16, seed=1))
    seed_everything(group_seed(1, 0, loader.groups[0]))
    expected = RandomErasing(0.5, mode="pixel", device="cpu")(images.clone())
    assert not torch.equal(images, expected)
    assert same_batches(
        [next(make_loader(stream, replace(recipe, random_erasing=0.5)).train_batches(16, seed=1))], [(expected, labels)]
    )
