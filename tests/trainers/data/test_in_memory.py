import json
import struct
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.paths import SHARED
from trainers.data.open_dataset import load_in_memory
from trainers.data.splits import validation_split


def picture(value, size=(10, 8), mode="RGB"):
    return Image.new(mode, size, value if mode == "L" else (value, 0, 255 - value))


def encoded(image):
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def class_folders(tmp_path):
    for split, number in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(number):
                picture(40 * index).save(tmp_path / split / name / f"{index}.png")
    return tmp_path


def write_parquet(folder, column="img", labels=(0, 1, 0), metadata=None, **extra):
    images = [{"bytes": encoded(picture(60 * index)), "path": None} for index in range(len(labels))]
    for split in ("train", "test"):
        table = pa.table({column: images, "label": list(labels), **extra})
        pq.write_table(table.replace_schema_metadata(metadata), folder / f"{split}.parquet")


def test_digits_are_the_1797_of_scikit_learn_and_disjoint():
    data = load_in_memory("digits", 32)
    assert data.train_images.shape == (1437, 32, 32, 1)
    assert data.test_images.shape == (360, 32, 32, 1)
    assert data.train_images.dtype == np.uint8
    assert data.train_images.max() == 255


def test_class_folders_become_squares_with_sorted_classes(class_folders):
    data = load_in_memory(str(class_folders), 6)
    assert data.classes == ("cat", "dog")
    assert data.train_images.shape == (6, 6, 6, 3)
    assert data.test_labels.tolist() == [0, 0, 1, 1]


def test_a_test_folder_does_where_there_is_no_val(class_folders):
    (class_folders / "val").rename(class_folders / "test")
    assert len(load_in_memory(str(class_folders), 6).test_labels) == 4


def test_gray_images_have_one_channel(class_folders):
    for path in class_folders.rglob("*.png"):
        picture(9, mode="L").save(path)
    assert load_in_memory(str(class_folders), 6).channels == 1


@pytest.mark.parametrize("mode", ["1", "LA"])
def test_black_and_white_and_transparent_gray_are_gray(class_folders, mode):
    for path in class_folders.rglob("*.png"):
        picture(9, mode="L").convert(mode).save(path)
    assert load_in_memory(str(class_folders), 6).channels == 1


def test_sixteen_bits_are_scaled_and_not_clipped(class_folders):
    for path in class_folders.rglob("*.png"):
        Image.fromarray(np.full((8, 8), 128 * 256, np.uint16)).save(path)
    data = load_in_memory(str(class_folders), 6)
    assert (data.train_images == 128).all()


def test_floating_point_pixels_are_refused(class_folders):
    path = class_folders / "train" / "cat" / "0.tiff"
    Image.fromarray(np.zeros((8, 8), np.float32)).save(path)
    with pytest.raises(ValueError, match=r"0\.tiff cannot be decoded: its pixels are floating-point"):
        load_in_memory(str(class_folders), 6)


def test_hidden_files_and_folders_are_passed_over(class_folders):
    (class_folders / "train" / ".ipynb_checkpoints").mkdir()
    (class_folders / "train" / "cat" / "._0.png").write_bytes(b"not an image")
    assert load_in_memory(str(class_folders), 6).classes == ("cat", "dog")


def test_linked_folders_are_followed(class_folders, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    picture(1).save(elsewhere / "9.png")
    (class_folders / "train" / "cat" / "more").symlink_to(elsewhere)
    assert len(load_in_memory(str(class_folders), 6).train_labels) == 7


def test_a_class_without_images_is_named(class_folders):
    (class_folders / "train" / "emu").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in .*train/emu"):
        load_in_memory(str(class_folders), 6)


def test_where_there_are_both_the_test_split_is_test_and_not_val(class_folders):
    import shutil

    shutil.copytree(class_folders / "val" / "cat", class_folders / "test" / "cat")
    assert load_in_memory(str(class_folders), 6).test_labels.tolist() == [0, 0]


def test_one_colour_image_makes_the_data_colour(class_folders):
    for path in (class_folders / "train").rglob("*.png"):
        picture(9, mode="L").save(path)
    data = load_in_memory(str(class_folders), 6)
    assert data.train_images.shape[-1] == data.test_images.shape[-1] == 3


@pytest.mark.parametrize("column", ["img", "image"])
def test_parquet_in_hugging_face_layout(tmp_path, column):
    features = {column: {"_type": "Image"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    write_parquet(tmp_path, column, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    data = load_in_memory(str(tmp_path), 6)
    assert data.classes == ("no", "yes")
    assert data.train_labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("metadata", ["null", "[]", '{"info": null}', '{"info": {"features": {"label": null}}}', "{"])
def test_odd_metadata_are_no_class_names(tmp_path, metadata):
    write_parquet(tmp_path, metadata={"huggingface": metadata})
    assert load_in_memory(str(tmp_path), 6).classes == ("0", "1")


def test_an_empty_parquet_is_named(tmp_path):
    write_parquet(tmp_path)
    for name in ("train", "test"):
        pq.write_table(pq.read_table(tmp_path / f"{name}.parquet").slice(0, 0), tmp_path / f"{name}.parquet")
    with pytest.raises(ValueError, match="no training images"):
        load_in_memory(str(tmp_path), 6)


def test_a_split_holds_every_class_on_both_sides():
    labels = np.repeat([0, 1, 2], 10)
    kept, held_out = validation_split(labels, 0.2)
    assert sorted(kept + held_out) == list(range(30))
    assert np.bincount(labels[held_out]).tolist() == [2, 2, 2]


def test_a_class_too_small_to_split_is_refused():
    with pytest.raises(ValueError, match="least populated class"):
        validation_split(np.array([0, 0, 0, 0, 1]), 0.2)


def test_parquet_without_class_names_counts_its_labels(tmp_path):
    write_parquet(tmp_path, labels=(0, 1, 2))
    assert load_in_memory(str(tmp_path), 6).classes == ("0", "1", "2")


def test_a_torchvision_data_set_by_name(tmp_path):
    """FashionMNIST's raw files, made by hand, so that nothing is downloaded."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, number in (("train", 6), ("t10k", 3)):
        pixels, labels = bytes(range(28)) * 28 * number, bytes(index % 10 for index in range(number))
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, number, 28, 28) + pixels)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, number) + labels)
    data = load_in_memory(f"torch/fashion_mnist:{tmp_path}", 28)
    assert data.train_images.shape == (6, 28, 28, 1)
    assert data.classes[0] == "T-shirt/top"


def test_the_fingerprint_sees_a_single_pixel(shapes):
    before = replace(shapes).fingerprint
    shapes.test_images[0, 0, 0, 0] ^= 1
    assert replace(shapes).fingerprint != before


@pytest.mark.skipif(not (SHARED / "cifar10-jpeg").is_dir(), reason="the shared CIFAR-10 is not on this machine")
def test_real_cifar_10():
    data = load_in_memory(str(SHARED / "cifar10-jpeg"), 32)
    assert data.train_images.shape == (50_000, 32, 32, 3)
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    assert data.classes[0] == "airplane"


def one_line(error):
    return "\n" not in str(error.value)


def test_missing_data_says_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no data at .*nowhere, expected digits, a folder, or torch/") as error:
        load_in_memory(str(tmp_path / "nowhere"), 6)
    assert one_line(error)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has neither train.parquet nor a train/ folder"):
        load_in_memory(str(tmp_path), 6)


@pytest.mark.parametrize("suffix", ["", ".parquet"])
def test_nothing_to_test_on_is_said(class_folders, suffix):
    if suffix:
        write_parquet(class_folders)
        (class_folders / "test.parquet").unlink()
    (class_folders / "val").rename(class_folders / "spare")
    with pytest.raises(FileNotFoundError, match=f"has train{suffix} but neither test{suffix} nor val{suffix}"):
        load_in_memory(str(class_folders), 6)


def test_a_corrupt_image_is_named(class_folders):
    (class_folders / "train" / "cat" / "1.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"cat/1\.png cannot be decoded: not an image") as error:
        load_in_memory(str(class_folders), 6)
    assert one_line(error)


def test_a_truncated_image_is_named(class_folders):
    file = class_folders / "train" / "cat" / "1.png"
    file.write_bytes(file.read_bytes()[:45])
    with pytest.raises(ValueError, match=r"cat/1\.png cannot be decoded") as error:
        load_in_memory(str(class_folders), 6)
    assert one_line(error)


def test_a_class_of_the_test_split_must_be_known(class_folders):
    (class_folders / "val" / "emu").mkdir()
    with pytest.raises(ValueError, match=r"has class 'emu', which .* lacks"):
        load_in_memory(str(class_folders), 6)


def test_a_folder_without_images_is_named(class_folders):
    for path in (class_folders / "val").rglob("*.png"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no images in .*val"):
        load_in_memory(str(class_folders), 6)


def test_parquet_without_labels_is_refused(tmp_path):
    write_parquet(tmp_path)
    for split in ("train", "test"):
        file = tmp_path / f"{split}.parquet"
        pq.write_table(pq.read_table(file).drop_columns("label"), file)
    with pytest.raises(ValueError, match="has columns img, expected one of label, labels, fine_label"):
        load_in_memory(str(tmp_path), 6)


@pytest.mark.parametrize("label", ["cat", "", 1.5, 0.0, -1, 300_000_000])
def test_labels_must_be_whole_numbers(tmp_path, label):
    write_parquet(tmp_path, labels=(label,) * 3)
    with pytest.raises(ValueError, match=r"train\.parquet: label .*, expected whole numbers from 0 to below 100000"):
        load_in_memory(str(tmp_path), 6)


def test_a_broken_parquet_file_is_named(tmp_path):
    write_parquet(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(ValueError, match=r"train\.parquet is not a readable Parquet file") as error:
        load_in_memory(str(tmp_path), 6)
    assert one_line(error)


def test_a_broken_row_is_named(tmp_path):
    images = [{"bytes": b"broken", "path": None}]
    pq.write_table(pa.table({"img": images, "label": [0]}), tmp_path / "train.parquet")
    (tmp_path / "test.parquet").write_bytes((tmp_path / "train.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"train\.parquet: row 0 cannot be decoded: not an image"):
        load_in_memory(str(tmp_path), 6)


@pytest.mark.parametrize("data", ["torch/cifar10", "torch/nothing:/tmp/x"])
def test_a_torchvision_name_needs_a_known_set_and_a_folder(data):
    with pytest.raises(ValueError, match=r"names no folder to download to|Unknown torchvision dataset"):
        load_in_memory(data, 6)


def test_a_single_class_is_not_a_task(tmp_path):
    write_parquet(tmp_path, labels=(0, 0, 0))
    with pytest.raises(ValueError, match="1 class, expected 2 or more"):
        load_in_memory(str(tmp_path), 6)
