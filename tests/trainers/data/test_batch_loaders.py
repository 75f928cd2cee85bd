import numpy as np
import torch

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.images import jpeg, write_shard
from tests.support.loaders import make_loader, same_batches, train_epoch
from tests.support.training import make_trainer
from trainers.data.in_memory_loader import InMemoryLoader
from trainers.data.streamed_loader import StreamedLoader
from trainers.data.webdataset import open_shards

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")


def trained(recipe, data, **options):
    trainer = make_trainer(CANDIDATE, recipe, data, 0, **options)
    return [(epoch.train_loss, epoch.val_loss, epoch.top1) for epoch in trainer.epochs()]


def test_the_kind_of_data_set_decides_the_loader(shapes, stream, quick, tiny_ablation):
    assert isinstance(make_loader(shapes, quick), InMemoryLoader)
    assert isinstance(make_loader(stream, tiny_ablation), StreamedLoader)


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
    expected = train_epoch(make_loader(stream, tiny_ablation))
    assert same_batches(train_epoch(make_loader(shards, tiny_ablation)), expected)
    assert same_batches(train_epoch(make_loader(shards, tiny_ablation, workers=1)), expected)
