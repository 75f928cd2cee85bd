import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.images import png
from trainers.data.parquet import load_parquet


def write(folder, column="img", labels=(0, 1, 0), metadata=None):
    images = [{"bytes": png(60 * index), "path": None} for index in range(len(labels))]
    for split in ("train", "test"):
        table = pa.table({column: images, "label": list(labels)})
        pq.write_table(table.replace_schema_metadata(metadata), folder / f"{split}.parquet")


def rewrite(folder, change):
    for split in ("train", "test"):
        file = folder / f"{split}.parquet"
        pq.write_table(change(pq.read_table(file)), file)


@pytest.mark.parametrize("column", ["img", "image"])
def test_the_hugging_face_layout_is_read(tmp_path, column):
    features = {column: {"_type": "Image"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    write(tmp_path, column, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    data = load_parquet(tmp_path, 6)
    assert data.classes == ("no", "yes")
    assert data.train_labels.tolist() == [0, 1, 0]
    assert data.train_images.shape == (3, 6, 6, 3)


@pytest.mark.parametrize("metadata", ["null", "[]", '{"info": null}', '{"info": {"features": {"label": null}}}', "{"])
def test_malformed_metadata_hold_no_class_names(tmp_path, metadata):
    write(tmp_path, metadata={"huggingface": metadata})
    assert load_parquet(tmp_path, 6).classes == ("0", "1")


def test_classes_without_names_are_numbered(tmp_path):
    write(tmp_path, labels=(0, 1, 2))
    assert load_parquet(tmp_path, 6).classes == ("0", "1", "2")


def test_an_empty_file_is_refused(tmp_path):
    write(tmp_path)
    rewrite(tmp_path, lambda table: table.slice(0, 0))
    with pytest.raises(ValueError, match="no training images"):
        load_parquet(tmp_path, 6)


def test_a_file_without_labels_is_refused(tmp_path):
    write(tmp_path)
    rewrite(tmp_path, lambda table: table.drop_columns("label"))
    with pytest.raises(ValueError, match="has columns img, expected one of label, labels, fine_label"):
        load_parquet(tmp_path, 6)


def test_a_missing_label_is_named(tmp_path):
    write(tmp_path, labels=(0, None, 1))
    with pytest.raises(ValueError, match=r"train\.parquet: row 1 has no label"):
        load_parquet(tmp_path, 6)


@pytest.mark.parametrize("label", ["cat", "", 1.5, 0.0, -1, 300_000_000])
def test_labels_must_be_whole_numbers(tmp_path, label):
    write(tmp_path, labels=(label,) * 3)
    with pytest.raises(ValueError, match=r"train\.parquet: label .*, expected whole numbers from 0 to below 100000"):
        load_parquet(tmp_path, 6)


def test_a_broken_file_is_named_in_one_line(tmp_path):
    write(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(ValueError, match=r"train\.parquet is not a readable Parquet file") as error:
        load_parquet(tmp_path, 6)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [({"bytes": b"broken", "path": None}, "cannot be decoded: not an image"), ("a.png", "holds no image bytes")],
)
def test_a_broken_row_is_named(tmp_path, cell, message):
    pq.write_table(pa.table({"img": [cell], "label": [0]}), tmp_path / "train.parquet")
    (tmp_path / "test.parquet").write_bytes((tmp_path / "train.parquet").read_bytes())
    with pytest.raises(ValueError, match=rf"train\.parquet: row 0 {message}"):
        load_parquet(tmp_path, 6)


def test_a_single_class_is_refused(tmp_path):
    write(tmp_path, labels=(0, 0, 0))
    with pytest.raises(ValueError, match="1 class, expected 2 or more"):
        load_parquet(tmp_path, 6)
