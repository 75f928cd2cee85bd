"""Does an epoch of recipe `ablation` get through real images? `python -m benchmarks.ablation_epoch --data FOLDER`

FOLDER holds Parquet files. One epoch with its validation and test is trained on them as they are, and one on the same
images unpacked into class folders. All is the recipe's (its batch, learning rates, RandAugment, mixing, erasing) but
the model, which is a CAFormer small enough for a CPU. Both trainings see the same images with the same draws, so that
their losses must be equal. Exit code 1 if one fails or they differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from searchspace.candidate import Candidate
from trainers.data.open_dataset import open_streamed
from trainers.data.parquet_files import IMAGE_COLUMNS, ParquetFiles, class_names, open_file, read_column, read_labels
from trainers.recipes import ABLATION
from trainers.resources import Resources, whole_machine
from trainers.run_trial import run_trial
from trainers.trial_task import Failure, TrainingSetup, TrialReport, TrialTask

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-attn-attn")


def unpack(folder: Path, target: Path) -> None:
    """Write the images of Parquet files to class folders that keep their order, if the rows are sorted by label."""
    files = ParquetFiles.find(folder)
    if files is None:
        raise FileNotFoundError(f"{folder} has no Parquet files of images")
    for split, paths in (("train", files.train), ("val", files.test)):
        row = 0
        for path in paths:
            opened = open_file(path)
            names = class_names(opened)
            cells = read_column(opened, path, IMAGE_COLUMNS)
            for cell, label in zip(cells, read_labels(opened, path), strict=True):
                name = names[label] if names else "class"
                file = target / split / f"{label:04} {name}" / f"{row:07}.jpeg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(cell["bytes"].as_py())
                row += 1


def train_one_epoch(source: str, img_size: int, resources: Resources) -> TrialReport | Failure:
    """The report after one epoch on this data, with the test accuracy; or what went wrong."""
    recipe = replace(ABLATION, backbone=CANDIDATE.backbone, img_size=img_size).cut(1)
    setup = TrainingSetup(recipe=recipe, data=open_streamed(source), resources=resources, checkpoints=None)
    task = TrialTask(key="", candidate=CANDIDATE, seed=0, until=1)
    return list(run_trial(task, setup))[-1]


def main(argv: list[str] | None = None) -> int:
    """Print a line for each form of the data. Returns 1 if a training failed or the losses differ."""
    parser = argparse.ArgumentParser(prog="benchmarks.ablation_epoch", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="FOLDER", help="Parquet files of images, sorted by label")
    parser.add_argument("--img-size", type=int, default=ABLATION.img_size, metavar="N", help="pixels (%(default)s)")
    args = parser.parse_args(argv)
    losses = set()
    with tempfile.TemporaryDirectory() as unpacked:
        unpack(Path(args.data), Path(unpacked))
        for form, source in (("Parquet", args.data), ("class folders", unpacked)):
            outcome = train_one_epoch(source, args.img_size, whole_machine(1))
            if isinstance(outcome, Failure):
                print(f"{form}: failed ({outcome.kind}): {outcome.message}")
                return 1
            epoch = outcome.last
            losses.add((epoch.train_loss, epoch.val_loss))
            print(f"{form}: {epoch.seconds:.0f} s, train loss {epoch.train_loss:.6f}, val loss {epoch.val_loss:.6f}")
    if len(losses) > 1:
        print("the losses differ")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
