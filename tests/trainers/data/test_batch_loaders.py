from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.images import jpeg, write_shard
from tests.support.training import make_trainer
from trainers.data.batch_loaders import InMemoryLoader, StreamedLoader, make_batch_loader
from trainers.data.class_folders import open_class_folders
from trainers.data.webdataset import open_shards
from trainers.rank_context import RankContext

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")
CPU = torch.device("cpu")


def make(data, recipe, rank=0, ranks=1, **options):
    return make_batch_loader(data, recipe, device=CPU, rank_context=RankContext(rank, ranks), **options)


def epoch(loader, seed=1, size=4):
    return list(loader.train_batches(size, seed))


def mixed_groups(loader, size):
    """The images and labels of an epoch, by the step and the number of their group."""
    batches = loader.train_batches(size, seed=1)
    groups = {}
    for step in range(loader.steps):
        for group in loader.groups:
            parts = list(islice(batches, group.passes(size)))
            groups[step, group.number] = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
    return groups


def equal(batches, others):
    pairs = zip(batches, others, strict=True)
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


def trained(recipe, data, **options):
    trainer = make_trainer(CANDIDATE, recipe, data, 0, **options)
    return [(epoch.train_loss, epoch.val_loss, epoch.top1) for epoch in trainer.epochs()]


@pytest.fixture
def stream(jpeg_folders):
    """40 images to train on and eight to test on, in class folders."""
    return open_class_folders(jpeg_folders)


def test_the_kind_of_data_set_decides_the_loader(shapes, stream, quick, tiny_ablation):
    assert isinstance(make(shapes, quick), InMemoryLoader)
    assert isinstance(make(stream, tiny_ablation), StreamedLoader)


def test_images_in_memory_are_normalised(shapes, quick):
    loader = make(shapes, quick)
    images = loader.normalise(loader.train_images)
    assert images.mean().abs() < 1e-4
    assert images.std() == pytest.approx(1, abs=1e-3)
    assert loader.mean == pytest.approx([float(loader.train_images.float().mean() / 255)])


def test_an_epoch_in_memory_repeats_for_the_same_seed_alone(shapes, quick):
    loader = make(shapes, quick)
    assert equal(epoch(loader, seed=1), epoch(loader, seed=1))
    assert not equal(epoch(loader, seed=1), epoch(loader, seed=2))


def test_two_ranks_see_what_one_sees(shapes, quick):
    one = epoch(make(shapes, quick), size=16)
    two = [epoch(make(shapes, quick, rank, 2), size=16) for rank in range(2)]
    for number, (images, labels) in enumerate(one):
        assert torch.equal(images, torch.cat([batches[number][0] for batches in two]))
        assert torch.equal(labels, torch.cat([batches[number][1] for batches in two]))


@pytest.mark.parametrize("kind", ["in memory", "streamed"])
def test_neither_micro_batches_nor_ranks_change_what_is_mixed_with_what(kind, shapes, stream, quick, tiny_ablation):
    data, recipe = (shapes, quick) if kind == "in memory" else (stream, tiny_ablation)
    recipe = replace(recipe, batch_size=16, micro_batch=8, mixup=0.8, cutmix=1.0)
    expected = mixed_groups(make(data, recipe), size=8)
    assert len(expected) == 2 * make(data, recipe).steps
    assert len({tuple(labels[0].tolist()) for _, labels in expected.values()}) > 2  # groups have weights of their own
    for size in (2, 4):
        found = mixed_groups(make(data, recipe), size)
        assert equal(found.values(), expected.values())
    ranks = [mixed_groups(make(data, recipe, rank, 2), size=4) for rank in range(2)]
    assert equal([{**ranks[0], **ranks[1]}[key] for key in expected], expected.values())


def test_each_rank_evaluates_its_slice(shapes, quick):
    labels = [torch.cat([labels for _, labels in make(shapes, quick, rank, 3).test_batches(5)]) for rank in range(3)]
    assert [part.tolist() for part in labels] == [shapes.test_labels[rank::3].tolist() for rank in range(3)]


def test_the_batch_is_the_recipes_unless_there_are_fewer_images(shapes, quick):
    assert make(shapes, quick).batch_size == 16
    assert make(shapes, quick).steps == 54 // 16
    assert make(shapes, replace(quick, batch_size=1000)).batch_size == 54  # 64, less 15 % held out
    assert make(shapes, replace(quick, batch_size=1000), ranks=4).batch_size == 54
    assert make(shapes, replace(quick, batch_size=15, mixup=0.8), ranks=4).batch_size == 14  # whole pairs


def test_too_few_images_for_the_ranks_are_refused(shapes, quick):
    with pytest.raises(ValueError, match="shapes: 54 images to train on, expected at least 55"):
        make(shapes, quick, ranks=55)
    with pytest.raises(ValueError, match="shapes: 54 images to train on, expected at least 56"):
        make(shapes, replace(quick, mixup=0.8), ranks=28)


def test_mixing_turns_labels_into_shares_of_classes(shapes, quick):
    loader = make(shapes, replace(quick, mixup=0.8, cutmix=1.0))
    images, labels = epoch(loader, size=16)[0]
    assert (images.shape, labels.shape) == ((16, 1, 16, 16), (16, 2))
    assert torch.allclose(labels.sum(1), torch.ones(16))


def test_an_epoch_of_a_stream_sees_every_training_image_once(stream, tiny_ablation):
    loader = make(stream, replace(tiny_ablation, mixup=0.0, cutmix=0.0, batch_size=4))
    labels = torch.cat([labels for _, labels in epoch(loader)])
    assert len(labels) == 36  # 38 that are not held out, in whole batches
    assert sorted([*loader.train_indices, *loader.val_indices]) == list(range(40))
    assert len(loader.val_indices) == 2  # one of each class, although 2 % would be less


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_batch(stream, tiny_ablation, workers):
    alone = make(stream, tiny_ablation)
    helped = make(stream, tiny_ablation, workers=workers)
    assert equal(epoch(alone), epoch(helped))
    assert equal(alone.val_batches(3), helped.val_batches(3))


def test_the_number_of_workers_changes_no_training(stream, tiny_ablation):
    assert trained(tiny_ablation, stream, workers=2) == trained(tiny_ablation, stream, workers=0)


def test_a_resumed_training_on_a_stream_equals_an_uninterrupted_one(stream, tiny_ablation, tmp_path):
    checkpoints = Folder(tmp_path / "checkpoints")
    whole = trained(tiny_ablation, stream)
    next(make_trainer(CANDIDATE, tiny_ablation, stream, 0, checkpoints).epochs())
    torch.rand(7)
    assert trained(tiny_ablation, stream, folder=checkpoints) == whole[1:]


def test_shards_give_the_batches_of_their_files(stream, tiny_ablation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for split, number in (("train", 20), ("val", 4)):
        samples = []
        for label, name in enumerate((1, 0)):  # the folders bright and dark, in the order of their names
            for index in sorted(range(number), key=str):
                files = {"jpeg": jpeg(100 * name + index, name), "cls": str(label).encode()}
                samples.append((f"{label}{index:03}", files))
        write_shard(folder / f"{split}.tar", samples)
    shards = open_shards(folder)
    assert np.array_equal(shards.train_labels, stream.train_labels)
    expected = epoch(make(stream, tiny_ablation))
    assert equal(epoch(make(shards, tiny_ablation)), expected)
    assert equal(epoch(make(shards, tiny_ablation, workers=1)), expected)
