import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's package is imported: no test asks a network

from results.progress import Progress
from results.store import Study
from storage.folder import Folder
from tests.support.studies import begun
from trainers.data.in_memory import InMemoryDataset
from trainers.recipes import DIGITS, Recipe

if TYPE_CHECKING:
    from orchestrator.ray_cluster import Cluster

# Many threads on a busy machine made the same test take minutes instead of seconds.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture
def shapes() -> InMemoryDataset:
    """Two classes that a few steps tell apart: dark and bright noise."""
    draw = np.random.default_rng(0)
    labels = np.arange(96) % 2
    images = (draw.integers(0, 100, (96, 16, 16, 1)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    return InMemoryDataset(
        name="shapes",
        classes=("dark", "bright"),
        train_images=images[:64],
        train_labels=labels[:64],
        test_images=images[64:],
        test_labels=labels[64:],
    )


@pytest.fixture
def quick() -> Recipe:
    """Three epochs of three steps on 16 px images, with every source of noise switched on."""
    return replace(DIGITS, img_size=16, epochs=3, warmup_epochs=1, batch_size=16, hflip=True, drop_path=0.2)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return begun("s", tmp_path)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator["Cluster"]:
    """One Ray with a CPU for each trial, for all tests that do not kill it and for all commands in this process."""
    from orchestrator.ray_environment import open_cluster
    from tests.support.clusters import commands_use

    with open_cluster(cpus=1, gpus=0) as cluster, commands_use(cluster):
        yield cluster


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The query of URIs of a server in this process, which only this machine reaches, with the bucket `studies`."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    query = f"endpoint_override=127.0.0.1:{server.get_host_and_port()[1]}&scheme=http"
    with pytest.MonkeyPatch.context() as patch:
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # a server that lets everybody in
        for name, value in {**keys, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            patch.setenv(name, value)
        FileSystem.from_uri(f"s3://studies?{query}&allow_bucket_creation=true")[0].create_dir("studies")
        yield query
    server.stop()


@pytest.fixture
def s3(endpoint: str) -> str:
    """The URI of an empty prefix on an object store."""
    return f"s3://studies/{uuid4().hex}?{endpoint}"


@pytest.fixture(params=["local", "s3"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """An empty folder of each kind."""
    return Folder(tmp_path if request.param == "local" else request.getfixturevalue("s3"))


@pytest.fixture
def quiet() -> Progress:
    from rich.console import Console

    return Progress([], console=Console(quiet=True))
