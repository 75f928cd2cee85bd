import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from tests.support.images import jpeg, png
from trainers.data.decoding import ImageDecodeError, ImageReadError
from trainers.data.open_dataset import load_in_memory, open_streamed
from trainers.data.transforms import TransformedImages, evaluation_transform


def load(folder):
    return load_in_memory(str(folder), 6)


def stream(folder):
    return open_streamed(str(folder))


BOTH = pytest.mark.parametrize("read", [load, stream])


def write(folder, column="img", labels=(0, 1, 0), metadata=None):
    images = [{"bytes": png(60 * index), "path": None} for index in range(len(labels))]
    for split in ("train", "test"):
        table = pa.table({column: images, "label": list(labels)})
        pq.write_table(table.replace_schema_metadata(metadata), folder / f"{split}.parquet")


def rewrite(folder, change):
    for split in ("train", "test"):
        file = folder / f"{split}.parquet"
        pq.write_table(change(pq.read_table(file)), file)


@BOTH
@pytest.mark.parametrize("column", ["img", "image"])
def test_the_hugging_face_layout_is_read(tmp_path, column, read):
    features = {column: {"_type": "Image"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    write(tmp_path, column, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    data = read(tmp_path)
    assert data.classes == ("no", "yes")
    assert data.train_labels.tolist() == [0, 1, 0]
    assert data.num_test == 3


@BOTH
@pytest.mark.parametrize("metadata", ["null", "[]", '{"info": null}', '{"info": {"features": {"label": null}}}', "{"])
def test_malformed_metadata_hold_no_class_names(tmp_path, metadata, read):
    write(tmp_path, metadata={"huggingface": metadata})
    assert read(tmp_path).classes == ("0", "1")


@BOTH
def test_classes_without_names_are_numbered(tmp_path, read):
    write(tmp_path, labels=(0, 1, 2))
    assert read(tmp_path).classes == ("0", "1", "2")


@BOTH
def test_an_empty_file_is_refused(tmp_path, read):
    write(tmp_path)
    rewrite(tmp_path, lambda table: table.slice(0, 0))
    with pytest.raises(ValueError, match=r"train\.parquet has no rows: there are no images in it"):
        read(tmp_path)


@BOTH
def test_a_file_without_labels_is_refused(tmp_path, read):
    write(tmp_path)
    rewrite(tmp_path, lambda table: table.drop_columns("label"))
    with pytest.raises(ValueError, match="has columns img, expected one of label, labels, fine_label"):
        read(tmp_path)


@BOTH
def test_a_missing_label_is_named(tmp_path, read):
    write(tmp_path, labels=(0, None, 1))
    with pytest.raises(ValueError, match=r"train\.parquet: row 1 has no label"):
        read(tmp_path)


@BOTH
@pytest.mark.parametrize("label", ["cat", "", 1.5, 0.0, -1, 300_000_000])
def test_labels_must_be_whole_numbers(tmp_path, label, read):
    write(tmp_path, labels=(label,) * 3)
    with pytest.raises(ValueError, match=r"train\.parquet: label .*, expected whole numbers from 0 to below 100000"):
        read(tmp_path)


@BOTH
def test_a_broken_file_is_named_in_one_line(tmp_path, read):
    write(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(ValueError, match=r"train\.parquet is not a readable Parquet file") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [({"bytes": b"broken", "path": None}, "cannot be decoded: not an image"), ("a.png", "holds no image bytes")],
)
def test_a_broken_row_in_memory_is_named(tmp_path, cell, message):
    pq.write_table(pa.table({"img": [cell], "label": [0]}), tmp_path / "train.parquet")
    (tmp_path / "test.parquet").write_bytes((tmp_path / "train.parquet").read_bytes())
    with pytest.raises(ValueError, match=rf"train\.parquet: row 0 {message}"):
        load(tmp_path)


def test_a_broken_row_of_a_stream_is_named(tmp_path):
    write(tmp_path)
    cells = [{"bytes": content, "path": None} for content in (png(1), b"broken", png(2))]
    rewrite(tmp_path, lambda table: table.set_column(0, "img", pa.array(cells)))
    images = stream(tmp_path).train_images
    assert images.read(2).size == (10, 8)
    with pytest.raises(ImageDecodeError, match=r"train\.parquet: row 1 cannot be decoded: not an image"):
        images.read(1)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["a.png", "b.png", "c.png"], "train.parquet: column img holds no image bytes"),
        ([[b"a"], [b"b"], [b"c"]], "train.parquet: column img holds no image bytes"),
        ([b"a", None, b"c"], "train.parquet: row group 0: 1 rows have no image bytes"),
        ([{"bytes": b"a"}, {"bytes": None}, None], "train.parquet: row group 0: 2 rows have no image bytes"),
    ],
)
def test_a_stream_needs_the_bytes_of_all_images(tmp_path, cells, message):
    write(tmp_path)
    rewrite(tmp_path, lambda table: table.set_column(0, "img", pa.array(cells)))
    with pytest.raises(ValueError, match=message):
        stream(tmp_path)


@BOTH
def test_a_single_class_is_refused(tmp_path, read):
    write(tmp_path, labels=(0, 0, 0))
    with pytest.raises(ValueError, match="1 class, expected 2 or more"):
        read(tmp_path)


def write_hub(folder, **options):
    """Two files of 20 images each to train on and one of eight to test on, in row groups of seven."""
    folder.mkdir(exist_ok=True)
    first = 0
    for name, number in (("train-00000-of-00002", 20), ("train-00001-of-00002", 20), ("validation-00000-of-00001", 8)):
        labels = [index % 2 for index in range(number)]
        images = [{"bytes": jpeg(first + index, index % 2), "path": None} for index in range(number)]
        pq.write_table(
            pa.table({"image": images, "label": labels}), folder / f"{name}.parquet", row_group_size=7, **options
        )
        first += number


@pytest.mark.parametrize("place", [".", "data"])
@BOTH
def test_the_layout_of_the_hub_is_read(tmp_path, place, read):
    write_hub(tmp_path / place)
    data = read(tmp_path)
    assert (data.num_train, data.num_test) == (40, 8)
    assert data.train_labels.tolist() == [0, 1] * 20


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "lz4"])
def test_streamed_images_are_those_of_the_rows(tmp_path, compression):
    write_hub(tmp_path, compression=compression)
    images = pickle.loads(pickle.dumps(stream(tmp_path).train_images))  # noqa: S301
    expected = load_in_memory(str(tmp_path), 20).train_images
    for index in (39, 0, 21, 7):
        image = images.read(index)
        assert np.array_equal(np.asarray(image.crop((0, 2, 20, 22))), expected[index])
    assert images.describe(21).endswith("train-00001-of-00002.parquet: row 1")


def test_loader_processes_read_what_this_one_does(tmp_path):
    write_hub(tmp_path)
    data = stream(tmp_path)
    images = TransformedImages(data.train_images, data.train_labels, evaluation_transform(8, 1.0))
    order = [31, 2, 17, 5]
    loaded = [pixels for pixels, _ in DataLoader(images, batch_size=None, sampler=order, num_workers=2)]
    assert all(np.array_equal(pixels, images[index][0]) for pixels, index in zip(loaded, order, strict=True))


def test_the_streamed_fingerprint_depends_on_names_sizes_and_labels(tmp_path):
    write_hub(tmp_path)
    before = stream(tmp_path).fingerprint
    assert stream(tmp_path).fingerprint == before
    file = tmp_path / "validation-00000-of-00001.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "label", pa.array([1, 0] * 4)), file, row_group_size=7)
    assert stream(tmp_path).fingerprint != before


def test_a_file_that_was_shortened_or_removed_is_a_read_error(tmp_path):
    write_hub(tmp_path, compression="none")
    images = stream(tmp_path).train_images
    file = tmp_path / "train-00001-of-00002.parquet"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ImageReadError, match=r"00001-of-00002\.parquet: row 19 cannot be read"):
        images.read(39)
    file.unlink()
    with pytest.raises(ImageReadError, match=r"00001-of-00002\.parquet: row 0 cannot be read: \[Errno 2\]"):
        images.read(20)
