"""Images that are decoded as they are needed: which there are, and that nothing depends on who decodes them."""

import io
import json
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.data.open_dataset import open_streamed
from trainers.recipes import ABLATION
from trainers.trainer import Trainer

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")


def jpeg(number, label):
    pixels = np.random.default_rng(number).integers(0, 100, (24, 20, 3)) + 60 * label
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two classes, 20 images each to train on and 4 to test on."""
    for split, number in (("train", 20), ("val", 4)):
        for label, name in enumerate(("dark", "bright")):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(number):
                (tmp_path / split / name / f"{index}.jpeg").write_bytes(jpeg(100 * label + index, label))
    return tmp_path


@pytest.fixture
def recipe():
    """The paper's ablations on tiny images, with every source of noise."""
    changes = {"backbone": "caformer_micro", "img_size": 16, "epochs": 4, "warmup_epochs": 1, "stop_epoch": 3}
    return replace(ABLATION, name="tiny", batch_size=16, micro_batch=128, lr=2e-3, **changes)


def trained(recipe, data, **options):
    trainer = Trainer(CANDIDATE, recipe, data, 0, **options)
    return [(epoch.train_loss, epoch.val_loss, epoch.top1) for epoch in trainer.epochs()]


def test_a_folder_is_listed_and_not_decoded(folder):
    (folder / "val" / "dark" / "0.jpeg").write_bytes(b"no image")
    data = open_streamed(str(folder))
    assert data.classes == ("bright", "dark")
    assert (data.num_train, data.num_test) == (40, 8)
    assert data.train_labels.tolist() == [0] * 20 + [1] * 20
    assert data.train_images.read(0).size == (20, 24)
    with pytest.raises(ValueError, match=r"dark/0\.jpeg cannot be decoded: not an image"):
        data.test_images.read(4)


def test_the_fingerprint_sees_names_and_sizes(folder):
    before = open_streamed(str(folder)).fingerprint
    assert open_streamed(str(folder)).fingerprint == before
    (folder / "train" / "dark" / "0.jpeg").write_bytes(jpeg(0, 0) + b"\0")
    assert open_streamed(str(folder)).fingerprint != before


def test_the_number_of_loader_workers_changes_nothing(folder, recipe):
    data = open_streamed(str(folder))
    assert trained(recipe, data, workers=2) == trained(recipe, data, workers=0)


def test_a_resumed_run_equals_an_uninterrupted_one(folder, recipe, tmp_path):
    data, checkpoints = open_streamed(str(folder)), Folder(tmp_path / "checkpoints")
    whole = trained(recipe, data)
    next(Trainer(CANDIDATE, recipe, data, 0, checkpoints).epochs())
    torch.rand(7)
    assert trained(recipe, data, folder=checkpoints) == whole[1:]


def test_an_epoch_sees_every_training_image_once(folder, recipe):
    trainer = Trainer(CANDIDATE, replace(recipe, mixup=0.0, cutmix=0.0, batch_size=4), open_streamed(str(folder)), 0)
    labels = torch.cat([labels for _, labels in trainer.feed.train_batches(trainer.parts, seed=1)])
    assert len(labels) == 36  # 38 that are not held out, in whole batches
    assert sorted([*trainer.feed.train_indices, *trainer.feed.val_indices]) == list(range(40))
    assert len(trainer.feed.val_indices) == 2  # one of each class, where 2 % would be less


def test_a_pass_of_a_cpu_is_smaller_than_a_gpus():
    assert (ABLATION.micro("cuda"), ABLATION.micro("cpu")) == (128, 8)


@pytest.mark.parametrize("split", ["train", "val"])
def test_what_a_folder_lacks_is_said(folder, split):
    (folder / split).rename(folder / "spare")
    with pytest.raises(FileNotFoundError, match=r"has neither a train/ folder|has train but neither test nor val"):
        open_streamed(str(folder))


def test_an_empty_class_is_named(folder):
    for path in (folder / "train" / "dark").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no images in .*dark"):
        open_streamed(str(folder))


def test_hugging_face_data_need_a_package_and_a_folder(monkeypatch):
    with pytest.raises(ValueError, match="names no folder to download to"):
        open_streamed("hfds/some/name")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install '\.\[hf\]'"):
        open_streamed("hfds/some/name:/tmp/x")


@pytest.fixture
def hub(tmp_path):
    """A data set as on the Hugging Face hub, in a folder."""
    pytest.importorskip("datasets")
    features = {"image": {"_type": "Image"}, "label": {"names": ["dark", "bright"], "_type": "ClassLabel"}}
    (tmp_path / "data").mkdir()
    for split, number in (("train", 40), ("validation", 8)):
        images = [{"bytes": jpeg(index, index % 2), "path": None} for index in range(number)]
        table = pa.table({"image": images, "label": [index % 2 for index in range(number)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    return tmp_path


def test_a_hugging_face_data_set_is_read_by_timms_reader(hub, recipe):
    data = open_streamed(f"hfds/{hub}:{hub}/cache")
    assert data.classes == ("dark", "bright")
    assert (data.num_train, data.num_test) == (40, 8)
    assert data.train_labels.tolist() == [0, 1] * 20
    assert trained(recipe, data, workers=1) == trained(recipe, data)


def test_a_hugging_face_data_set_that_is_nowhere_is_named(hub):
    with pytest.raises(ValueError, match="data set 'nobody/nothing' cannot be read"):
        open_streamed(f"hfds/nobody/nothing:{hub}/cache")


def shard(path, samples):
    with tarfile.open(path, "w") as tar:
        for key, files in samples:
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    for split, number in (("train", 2), ("val", 1)):
        for part in range(number):
            samples = [
                (
                    f"{part}{index:03}",
                    {"jpg": jpeg(100 * (index % 2) + index, index % 2), "cls": str(index % 2).encode()},
                )
                for index in range(20)
            ]
            shard(tmp_path / f"small-{split}-{part:04}.tar", samples)
    return tmp_path


def test_webdataset_shards_are_read_in_place(shards):
    data = open_streamed(str(shards))
    assert data.classes == ("0", "1")
    assert (data.num_train, data.num_test) == (40, 20)
    assert data.train_labels.tolist() == [0, 1] * 20
    assert np.array_equal(np.asarray(data.train_images.read(21)), np.asarray(Image.open(io.BytesIO(jpeg(101, 1)))))


def test_training_on_shards_is_training_on_their_images(shards, recipe):
    data = open_streamed(str(shards))
    assert trained(recipe, data, workers=1) == trained(recipe, data)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"jpg": b""}, r"sample '0' has jpg, expected one image and a \.cls"),
        ({"cls": b"0"}, r"sample '0' has cls, expected one image and a \.cls"),
        ({"jpg": b"", "cls": b"cat"}, r"sample '0': label b'cat', expected a whole number"),
    ],
)
def test_a_shard_that_is_not_as_webdataset_has_them_is_named(shards, files, message):
    shard(shards / "small-train-0001.tar", [("0", files)])
    with pytest.raises(ValueError, match=r"small-train-0001\.tar: " + message):
        open_streamed(str(shards))


def test_a_broken_shard_is_named(shards):
    (shards / "small-val-0000.tar").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"small-val-0000\.tar is not a readable tar file"):
        open_streamed(str(shards))


def test_shards_without_a_test_split_are_refused(shards):
    (shards / "small-val-0000.tar").rename(shards / "small-0000.tar")
    with pytest.raises(FileNotFoundError, match=r"\.tar shards, but none with test or val in its name"):
        open_streamed(str(shards))
