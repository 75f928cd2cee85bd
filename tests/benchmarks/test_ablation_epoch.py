"""The data path and the loop of recipe `ablation` on real ImageNet pictures, in both forms in which they may lie."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.ablation_epoch import train_one_epoch, unpack
from tests.support.images import jpeg
from tests.support.paths import SHARED
from trainers.data.open_dataset import open_streamed
from trainers.resources import Resources
from trainers.trial_task import TrialReport

IMAGENETTE = SHARED / "imagenette-224"


def write(folder, splits):
    for split, table in splits.items():
        pq.write_table(table, folder / f"{split}.parquet", row_group_size=100)


def test_unpacked_images_are_the_same_in_the_same_order(tmp_path):
    splits = {}
    for split, number in (("train", 6), ("test", 4)):
        images = [{"bytes": jpeg(index, 0), "path": None} for index in range(number)]
        splits[split] = pa.table({"image": images, "label": [2 * index // number for index in range(number)]})
    write(tmp_path, splits)
    unpack(tmp_path, tmp_path / "unpacked")
    packed = open_streamed(str(tmp_path))
    unpacked = open_streamed(str(tmp_path / "unpacked"))
    assert unpacked.train_labels.tolist() == packed.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    for index in range(4):
        assert unpacked.test_images.read(index).tobytes() == packed.test_images.read(index).tobytes()


@pytest.mark.slow
@pytest.mark.skipif(not IMAGENETTE.is_dir(), reason="the shared Imagenette is not on this machine")
def test_an_epoch_of_the_ablations_is_the_same_from_parquet_and_from_class_folders(tmp_path):
    """Every thirteenth image, 200 to train on, by two loader processes."""
    splits = {split: pq.read_table(IMAGENETTE / f"{split}.parquet") for split in ("train", "test")}
    write(tmp_path, {split: table.take(list(range(0, len(table), 13))) for split, table in splits.items()})
    unpack(tmp_path, tmp_path / "unpacked")
    sources = (str(tmp_path), str(tmp_path / "unpacked"))
    reports = [train_one_epoch(source, 64, Resources(workers=2)) for source in sources]
    assert all(isinstance(report, TrialReport) for report in reports), reports
    packed, unpacked = (report.last for report in reports)
    assert (packed.train_loss, packed.val_loss) == (unpacked.train_loss, unpacked.val_loss)
    assert 1 < packed.train_loss < 4  # the logarithm of ten classes is 2.3
