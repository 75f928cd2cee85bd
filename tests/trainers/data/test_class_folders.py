import os
import shutil

import pytest

from tests.support.images import jpeg, picture
from trainers.data.class_folders import load_class_folders, open_class_folders
from trainers.data.decoding import ImageReadError

BOTH = pytest.mark.parametrize("read", [lambda folder: load_class_folders(folder, 6), open_class_folders])


@BOTH
def test_classes_are_the_sorted_folders(class_folders, read):
    data = read(class_folders)
    assert data.classes == ("cat", "dog")
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test_labels.tolist() == [0, 0, 1, 1]
    assert data.name == class_folders.name


@BOTH
def test_a_folder_named_test_comes_before_val(class_folders, read):
    shutil.copytree(class_folders / "val" / "cat", class_folders / "test" / "cat")
    assert read(class_folders).test_labels.tolist() == [0, 0]


@BOTH
def test_hidden_files_and_folders_are_ignored(class_folders, read):
    (class_folders / "train" / ".ipynb_checkpoints").mkdir()
    (class_folders / "train" / "cat" / "._0.png").write_bytes(b"not an image")
    assert read(class_folders).num_train == 6


@BOTH
def test_linked_folders_are_followed(class_folders, tmp_path_factory, read):
    linked = tmp_path_factory.mktemp("linked")
    picture(1).save(linked / "9.png")
    (class_folders / "train" / "cat" / "more").symlink_to(linked)
    assert read(class_folders).num_train == 7


@BOTH
def test_a_class_without_training_images_is_named(class_folders, read):
    (class_folders / "train" / "emu").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in .*train/emu"):
        read(class_folders)


@BOTH
def test_a_class_of_the_test_split_must_be_in_training(class_folders, read):
    (class_folders / "val" / "emu").mkdir()
    with pytest.raises(ValueError, match=r"val has class 'emu', which .*train lacks"):
        read(class_folders)


@BOTH
def test_a_split_without_class_folders_is_named(class_folders, read):
    shutil.rmtree(class_folders / "val")
    (class_folders / "val").mkdir()
    with pytest.raises(FileNotFoundError, match="val has no class folders"):
        read(class_folders)


@BOTH
def test_a_test_split_without_images_is_said(class_folders, read):
    for path in (class_folders / "val").rglob("*.png"):
        path.unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=r"no images in .*val|no test images"):
        read(class_folders)


def test_images_in_memory_are_squares(class_folders):
    assert load_class_folders(class_folders, 6).train_images.shape == (6, 6, 6, 3)


def test_gray_images_in_memory_have_one_channel(class_folders):
    for path in class_folders.rglob("*.png"):
        picture(9, mode="L").save(path)
    assert load_class_folders(class_folders, 6).channels == 1


def test_one_colour_image_makes_the_data_colour(class_folders):
    for path in (class_folders / "train").rglob("*.png"):
        picture(9, mode="L").save(path)
    assert load_class_folders(class_folders, 6).channels == 3


def test_a_corrupt_image_in_memory_is_named(class_folders):
    (class_folders / "train" / "cat" / "1.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"cat/1\.png cannot be decoded: not an image"):
        load_class_folders(class_folders, 6)


def test_streamed_images_are_listed_and_not_decoded(jpeg_folders):
    (jpeg_folders / "val" / "dark" / "0.jpeg").write_bytes(b"no image")
    data = open_class_folders(jpeg_folders)
    assert (data.num_train, data.num_test) == (40, 8)
    assert data.train_images.read(0).size == (20, 24)
    with pytest.raises(ValueError, match=r"dark/0\.jpeg cannot be decoded: not an image"):
        data.test_images.read(4)


def test_the_streamed_fingerprint_depends_on_names_and_sizes(jpeg_folders):
    before = open_class_folders(jpeg_folders).fingerprint
    assert open_class_folders(jpeg_folders).fingerprint == before
    (jpeg_folders / "train" / "dark" / "0.jpeg").write_bytes(jpeg(0, 0) + b"\0")
    assert open_class_folders(jpeg_folders).fingerprint != before


def test_the_streamed_fingerprint_never_changes_between_versions(class_folders):
    """Studies are resumed by it: a new value would refuse all of them."""
    for number, path in enumerate(sorted(class_folders.rglob("*.png"))):
        path.write_bytes(b"x" * number)
    assert open_class_folders(class_folders).fingerprint == "d8b46fd9"


@BOTH
def test_a_fifo_is_refused_without_waiting(class_folders, read):
    os.mkfifo(class_folders / "train" / "cat" / "x.png")
    with pytest.raises(ValueError, match=r"train/cat/x\.png is not a regular file, expected an image"):
        read(class_folders)


def test_a_streamed_image_that_vanished_is_a_read_error(jpeg_folders):
    data = open_class_folders(jpeg_folders)
    (jpeg_folders / "train" / "dark" / "3.jpeg").unlink()
    index = [data.train_images.describe(index).endswith("dark/3.jpeg") for index in range(40)].index(True)
    with pytest.raises(ImageReadError, match=r"dark/3\.jpeg cannot be read: \[Errno 2\] No such file"):
        data.train_images.read(index)


@BOTH
@pytest.mark.parametrize("links", [{"cat/more": "cat"}, {"cat/a": "cat/b", "cat/b/c": "cat/a"}, {"all": "."}])
def test_links_that_form_a_loop_are_refused(class_folders, read, links):
    train = class_folders / "train"
    (train / "cat" / "b").mkdir()
    for link, target in links.items():
        (train / link).symlink_to(train / target)
    with pytest.raises(ValueError, match=r"train/.* links to a folder that it lies in"):
        read(class_folders)


@BOTH
def test_file_names_need_not_be_utf_8(class_folders, read):
    folder = class_folders / "train" / "cat"
    (folder / "0.png").rename(folder / os.fsdecode(b"\xff.png"))
    data = read(class_folders)
    assert data.num_train == 6
    if data.streamed:
        assert any(data.train_images.describe(index).endswith("cat/\\xff.png") for index in range(6))
        assert all(data.train_images.read(index).size == (10, 8) for index in range(6))
