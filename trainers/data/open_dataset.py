"""From what the command line calls `--data` to a data set: which formats there are, and how each is recognised."""

from __future__ import annotations

import os
from pathlib import Path

from trainers.data.class_folders import load_class_folders, open_class_folders
from trainers.data.dataset import ImageDataset
from trainers.data.digits import load_digits
from trainers.data.hugging_face import open_hugging_face
from trainers.data.in_memory import InMemoryDataset
from trainers.data.parquet import load_parquet, open_parquet
from trainers.data.parquet_files import ParquetFiles
from trainers.data.streamed import StreamedDataset
from trainers.data.torchvision_sets import load_torchvision
from trainers.data.webdataset import open_shards
from trainers.names import is_name
from trainers.recipes import Recipe


def open_dataset(source: str, recipe: Recipe) -> ImageDataset:
    """The data set of this name or path, streamed or in memory as the recipe says. ValueError or OSError if invalid."""
    if recipe.streamed:
        return open_streamed(source)
    return load_in_memory(source, recipe.img_size)


def load_in_memory(source: str, img_size: int) -> InMemoryDataset:
    """Decode `digits`, a folder (class folders or Parquet), or `torch/<name>:<root>` at `img_size` pixels.

    ValueError or OSError says which file is missing or corrupt.
    """
    if source == "digits":
        return load_digits(img_size)
    if source.startswith("torch/"):
        return load_torchvision(source, img_size)
    folder = _expand_user(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"no data at {source}, expected digits, a folder, or torch/<name>:<root>")
    parquet = ParquetFiles.find(folder)
    if parquet is not None:
        return load_parquet(parquet, folder.resolve().name, img_size)
    if (folder / "train").is_dir():
        return load_class_folders(folder, img_size)
    raise FileNotFoundError(f"{folder} has neither train.parquet nor a train/ folder")


def open_streamed(source: str) -> StreamedDataset:
    """List the images of a folder (class folders, WebDataset shards or Parquet) or of `hfds/<name>:<folder>`.

    ValueError or OSError says what is missing.
    """
    if source.startswith("hfds/"):
        return open_hugging_face(source)
    folder = _expand_user(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"no data at {source}, expected a folder with train/ and val/, or hfds/<name>:<folder>")
    if any(folder.glob("*.tar")):
        return open_shards(folder)
    if (folder / "train").is_dir():
        return open_class_folders(folder.resolve())
    parquet = ParquetFiles.find(folder.resolve())
    if parquet is not None:
        return open_parquet(parquet, folder.resolve().name)
    raise FileNotFoundError(f"{folder} has neither a train/ folder of class folders nor .tar shards nor train.parquet")


def _expand_user(source: str) -> Path:
    """`source` with `~` expanded, where there is such a user: Path's own method raises if there is none.

    ValueError if it is not UTF-8, or has control characters: rows and reports name it.
    """
    if not is_name(source):
        raise ValueError(f"data {source!r}, expected a path in UTF-8 without control characters")
    return Path(os.path.expanduser(source))
