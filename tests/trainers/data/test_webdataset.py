import errno
import io
import os

import numpy as np
import pytest
from PIL import Image

from tests.support.images import jpeg, write_shard
from trainers.data.decoding import ImageReadError
from trainers.data.webdataset import open_shards


def sample(part, index):
    label = index % 2
    files = {"jpg": jpeg(100 * label + index, label), "cls": str(label).encode()}
    return f"{part}{index:03}", files


@pytest.fixture
def shards(tmp_path):
    """Two shards of 20 images to train on, one to test on."""
    for split, number in (("train", 2), ("val", 1)):
        for part in range(number):
            samples = [sample(part, index) for index in range(20)]
            write_shard(tmp_path / f"small-{split}-{part:04}.tar", samples)
    return tmp_path


def test_images_are_read_in_place(shards):
    data = open_shards(shards)
    assert data.classes == ("0", "1")
    assert (data.num_train, data.num_test) == (40, 20)
    assert data.train_labels.tolist() == [0, 1] * 20
    expected = Image.open(io.BytesIO(jpeg(101, 1)))
    assert np.array_equal(np.asarray(data.train_images.read(21)), np.asarray(expected))


def test_the_fingerprint_depends_on_labels(shards):
    before = open_shards(shards).fingerprint
    assert open_shards(shards).fingerprint == before
    write_shard(shards / "small-val-0000.tar", [sample(0, index) for index in (1, *range(1, 20))])
    assert open_shards(shards).fingerprint != before


def test_the_fingerprint_never_changes_between_versions(tmp_path):
    """Studies are resumed by it: a new value would refuse all of them."""
    for split in ("train", "val"):
        write_shard(
            tmp_path / f"{split}.tar", [("a/0", {"jpg": b"x", "cls": b"0"}), ("a/1", {"png": b"", "cls": b"1"})]
        )
    assert open_shards(tmp_path).fingerprint == "0f9ec1b5"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"jpg": b""}, r"sample '0' has jpg, expected one image and a \.cls"),
        ({"cls": b"0"}, r"sample '0' has cls, expected one image and a \.cls"),
        ({"jpg": b"", "cls": b"cat"}, r"sample '0': label b'cat', expected a whole number"),
    ],
)
def test_an_invalid_sample_is_named(shards, files, message):
    write_shard(shards / "small-train-0001.tar", [("0", files)])
    with pytest.raises(ValueError, match=r"small-train-0001\.tar: " + message):
        open_shards(shards)


def test_a_corrupt_image_is_named(shards):
    write_shard(shards / "small-val-0000.tar", [("0", {"jpg": b"no image", "cls": b"0"})])
    data = open_shards(shards)
    with pytest.raises(ValueError, match=r"small-val-0000\.tar: image at byte 512 cannot be decoded: not an image"):
        data.test_images.read(0)


def test_a_broken_shard_is_named(shards):
    (shards / "small-val-0000.tar").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"small-val-0000\.tar is not a readable tar file"):
        open_shards(shards)


@pytest.mark.parametrize(("split", "wanted"), [("train", "train"), ("val", "test or val")])
def test_a_missing_split_is_said(shards, split, wanted):
    for path in shards.glob(f"*-{split}-*.tar"):
        path.rename(str(path).replace(split, "spare"))
    with pytest.raises(FileNotFoundError, match=rf"has 3 \.tar shards, but none with {wanted} in its name"):
        open_shards(shards)


def test_a_shard_that_lost_its_end_is_a_read_error(shards):
    data = open_shards(shards)
    file = shards / "small-train-0001.tar"
    offset = data.train_images.locations[39][1]
    os.truncate(file, offset + 10)
    with pytest.raises(ImageReadError, match=rf"{file}: image at byte {offset} cannot be read: the file has only 10"):
        data.train_images.read(39)


def test_a_shard_that_vanished_is_a_read_error(shards):
    data = open_shards(shards)
    (shards / "small-val-0000.tar").unlink()
    with pytest.raises(ImageReadError, match=r"val-0000\.tar: image at byte .* cannot be read: \[Errno 2\]") as error:
        data.test_images.read(0)
    assert error.value.errno == errno.ENOENT


def test_a_fifo_is_refused_without_waiting(shards):
    os.mkfifo(shards / "fifo-train.tar")
    with pytest.raises(ValueError, match=r"fifo-train\.tar is not a regular file, expected a tar file"):
        open_shards(shards)
