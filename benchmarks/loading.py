"""How fast are images loaded, beside timm's own loader? `python -m benchmarks.loading --data FOLDER`

FOLDER holds class folders `train` and `val`, or Parquet files, which are unpacked. The same images go through the same
transforms and the same number of processes with our loader, with our loader as it was (processes start anew for every
epoch and every validation), and with timm's. Mixing and erasing are off: elsewhere they run on the GPU.

- images/s: of training and validation images over all epochs, by a training that takes no time.
- waits: seconds from the last batch of an epoch to the first of its validation, and from there to the next epoch's
  first, by a training that takes a quarter longer for a batch than loading it does. Medians over the epochs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.ablation_epoch import unpack
from trainers.data.class_folders import open_class_folders
from trainers.data.loader import Batch
from trainers.data.streamed_loader import StreamedLoader
from trainers.data.transforms import evaluation_transform, training_transform
from trainers.rank_context import RankContext
from trainers.recipes import ABLATION, Recipe

from timm.data import create_dataset, create_loader

CPU = torch.device("cpu")
Epochs = Iterator[tuple[Iterator[Batch], Iterator[Batch]]]  # the batches of training and of validation
Source = Callable[[int], Epochs]  # so many epochs


@dataclass(frozen=True)
class Pace:
    """What a training that only loads has measured."""

    images_per_second: float
    to_validation: float  # seconds
    to_training: float  # seconds


def walk(epochs: Epochs, seconds_per_batch: float = 0.0) -> Pace:
    """Consume all batches and spend so long on each. The clock runs from the first batch to the last."""
    waits: dict[str, list[float]] = {"training": [], "validation": []}
    images = 0
    started = 0.0
    ended = 0.0
    for train, val in epochs:
        for kind, batches in (("training", train), ("validation", val)):
            asked = time.perf_counter()
            for number, (batch, _) in enumerate(batches):
                now = time.perf_counter()
                if not started:
                    started = now
                    continue
                if number == 0:
                    waits[kind].append(now - asked)
                images += len(batch)
                time.sleep(seconds_per_batch)
                ended = time.perf_counter()
    return Pace(
        images / (ended - started), statistics.median(waits["validation"]), statistics.median(waits["training"])
    )


def ours(loader: StreamedLoader) -> Source:
    """Batches in the order in which Trainer asks for them."""

    def epochs(number: int) -> Epochs:
        size = loader.largest_group
        upcoming = loader.train_batches(size, seed=1)
        for epoch in range(number):
            train = upcoming
            val = loader.val_batches(size)
            upcoming = loader.train_batches(size, seed=epoch + 2) if epoch + 1 < number else iter(())
            yield train, val
        loader.close()

    return epochs


def as_it_was(loader: StreamedLoader) -> Source:
    """The same with new processes for every epoch and every validation, which start when they are needed."""

    def restarted(start: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        loader.close()
        yield from start()

    def epochs(number: int) -> Epochs:
        size = loader.largest_group
        for epoch in range(number):
            train = restarted(lambda seed=epoch: loader.train_batches(size, seed))
            yield train, restarted(lambda: loader.val_batches(size))
        loader.close()

    return epochs


def timms(folder: Path, loader: StreamedLoader, recipe: Recipe, workers: int) -> Source:
    """timm's loader, persistent, on the images of ours."""

    def load(indices: list[int], *, is_training: bool) -> Iterator[Batch]:
        dataset = create_dataset("", root=str(folder / "train"))
        dataset.reader.samples = [dataset.reader.samples[index] for index in indices]
        batches = create_loader(
            dataset,
            recipe.img_size,
            recipe.group_size,
            is_training=is_training,
            num_workers=workers,
            persistent_workers=True,
            device=CPU,
        )
        evaluation = evaluation_transform(recipe.img_size, recipe.crop_pct)
        dataset.transform = training_transform(recipe) if is_training else evaluation
        return batches

    def epochs(number: int) -> Epochs:
        train = load(loader.train_indices.tolist(), is_training=True)
        val = load(loader.val_indices.tolist(), is_training=False)
        for _ in range(number):
            yield iter(train), iter(val)

    return epochs


def compare(folder: Path, recipe: Recipe, workers: int, epochs: int) -> Iterator[tuple[str, Pace]]:
    """The pace of each loader with so many processes."""
    data = open_class_folders(folder)
    loader = StreamedLoader(data, recipe, device=CPU, rank_context=RankContext(), workers=workers)
    sources = {
        "ours": ours(loader),
        "ours as it was": as_it_was(loader),
        "timm's": timms(folder, loader, recipe, workers),
    }
    loading_seconds = recipe.group_size / walk(sources["ours"](2)).images_per_second
    for name, source in sources.items():
        speed = walk(source(epochs)).images_per_second
        paced = walk(source(epochs), seconds_per_batch=1.25 * loading_seconds)
        yield name, replace(paced, images_per_second=speed)


def thin_out(folder: Path, images: int) -> None:
    """Delete all but about so many training images, evenly."""
    files = sorted((folder / "train").rglob("*.*"))
    for index, file in enumerate(files):
        if index * images // len(files) == (index - 1) * images // len(files):
            file.unlink()


def main(argv: list[str] | None = None) -> None:
    """Print a line for each loader and number of processes."""
    parser = argparse.ArgumentParser(prog="benchmarks.loading", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="FOLDER")
    parser.add_argument("--images", type=int, default=1536, metavar="N", help="to unpack from Parquet (%(default)s)")
    parser.add_argument("--img-size", type=int, default=ABLATION.img_size, metavar="N", help="pixels (%(default)s)")
    parser.add_argument("--group", type=int, default=ABLATION.group_size, metavar="N", help="images (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="at least 2 (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N")
    args = parser.parse_args(argv)
    recipe = replace(ABLATION, img_size=args.img_size, micro_batch=args.group, batch_size=args.group)
    recipe = replace(recipe, val_fraction=1 / 6, mixup=0.0, cutmix=0.0, random_erasing=0.0)
    with tempfile.TemporaryDirectory() as unpacked:
        folder = Path(args.data)
        if not (folder / "train").is_dir():
            unpack(folder, Path(unpacked))
            folder = Path(unpacked)
            thin_out(folder, args.images)
        print(f"{'loader':16}{'processes':>10}{'images/s':>10}{'to validation':>15}{'to training':>13}")
        for workers in args.workers:
            for name, pace in compare(folder, recipe, workers, args.epochs):
                print(
                    f"{name:16}{workers:10}{pace.images_per_second:10.0f}"
                    f"{pace.to_validation:13.2f} s{pace.to_training:11.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
