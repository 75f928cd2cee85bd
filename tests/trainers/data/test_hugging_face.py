import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.support.images import jpeg
from trainers.data.batch_loaders import make_batch_loader
from trainers.data.hugging_face import open_hugging_face
from trainers.rank_context import RankContext


@pytest.fixture
def hub(tmp_path):
    """A data set in a folder, laid out as on the Hugging Face hub: 40 images to train on, eight to test on."""
    pytest.importorskip("datasets")
    features = {"image": {"_type": "Image"}, "label": {"names": ["dark", "bright"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (tmp_path / "data").mkdir()
    for split, number in (("train", 40), ("validation", 8)):
        labels = [index % 2 for index in range(number)]
        images = [{"bytes": jpeg(index, label), "path": None} for index, label in enumerate(labels)]
        table = pa.table({"image": images, "label": labels}).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    return tmp_path


def test_a_data_set_is_read(hub):
    data = open_hugging_face(f"hfds/{hub}:{hub}/cache")
    assert data.classes == ("dark", "bright")
    assert (data.num_train, data.num_test) == (40, 8)
    assert data.train_labels.tolist() == [0, 1] * 20
    assert data.test_images.split == "validation"
    image = data.train_images.read(3)
    assert (image.size, image.mode) == ((20, 24), "RGB")


def test_a_worker_process_reads_what_this_one_does(hub, tiny_ablation):
    data = open_hugging_face(f"hfds/{hub}:{hub}/cache")

    def batches(workers):
        options = {"device": torch.device("cpu"), "rank_context": RankContext(), "workers": workers}
        return make_batch_loader(data, tiny_ablation, **options).test_batches(3)

    for (images, labels), (other_images, other_labels) in zip(batches(0), batches(1), strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_a_data_set_that_is_nowhere_is_named(hub):
    with pytest.raises(ValueError, match="data set 'nobody/nothing' cannot be read"):
        open_hugging_face(f"hfds/nobody/nothing:{hub}/cache")


def test_a_data_set_without_a_test_split_is_refused(monkeypatch, hub):
    monkeypatch.setattr("datasets.get_dataset_split_names", lambda name: ["train", "extra"])
    with pytest.raises(ValueError, match="has splits train, extra, expected train and one of validation, test, val"):
        open_hugging_face(f"hfds/{hub}:{hub}/cache")


def test_a_folder_must_be_named():
    with pytest.raises(ValueError, match="names no folder to download to"):
        open_hugging_face("hfds/some/name")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install '\.\[hf\]'"):
        open_hugging_face("hfds/some/name:/tmp/x")
