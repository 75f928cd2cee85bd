"""Trainers for tests, and the curves of trials."""

from collections.abc import Iterable
from typing import Any

from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.data.dataset import ImageDataset
from trainers.recipes import Recipe
from trainers.resources import Resources
from trainers.trainer import Trainer
from trainers.trial_task import Failure, TrainingSetup, TrialReport


def make_trainer(
    candidate: Candidate,
    recipe: Recipe,
    data: ImageDataset,
    seed: int = 0,
    folder: Folder | None = None,
    workers: int = 0,
    **options: Any,
) -> Trainer:
    """A trainer on the CPU; `options` are the setup's `weights`."""
    setup = TrainingSetup(recipe=recipe, data=data, resources=Resources(workers=workers), checkpoints=None, **options)
    return Trainer(candidate=candidate, seed=seed, setup=setup, folder=folder)


def curve(outcomes: Iterable[TrialReport | Failure]) -> list[tuple[float, float, float]]:
    """Training loss, validation loss and top-1 of every epoch, from the last of a trial's reports."""
    report = list(outcomes)[-1]
    assert isinstance(report, TrialReport), report
    return [(epoch.train_loss, epoch.val_loss, epoch.top1) for epoch in report.history]
