from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.images import picture, write_jpeg_folders
from trainers.data.class_folders import open_class_folders
from trainers.data.streamed import StreamedDataset
from trainers.recipes import ABLATION, Recipe


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """PNGs of the classes cat and dog: three each to train on, two each to test on."""
    for split, number in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(number):
                picture(40 * index).save(tmp_path / split / name / f"{index}.png")
    return tmp_path


@pytest.fixture
def jpeg_folders(tmp_path: Path) -> Path:
    """JPEGs of the classes dark and bright: 20 each to train on, four each to test on."""
    write_jpeg_folders(tmp_path)
    return tmp_path


@pytest.fixture
def tiny_ablation() -> Recipe:
    """The paper's recipe on tiny streamed images, with every source of randomness."""
    changes = {"backbone": "caformer_micro", "img_size": 16, "epochs": 4, "warmup_epochs": 1, "stop_epoch": 3}
    return replace(ABLATION, name="tiny", batch_size=16, micro_batch=128, lr=2e-3, **changes)


@pytest.fixture
def stream(jpeg_folders: Path) -> StreamedDataset:
    """40 images to train on and eight to test on, in class folders."""
    return open_class_folders(jpeg_folders)
