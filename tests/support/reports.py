"""Reports of trials that were never run."""

from collections.abc import Sequence
from typing import Any

from trainers.trial_task import EpochMetrics, TrialReport


def make_epoch(epoch: int, top1: float, **changes: Any) -> EpochMetrics:
    """An epoch with these metrics, and with others that do not matter."""
    values = {"train_loss": 1.0, "val_loss": 1.0, "lr": 0.1, "seconds": 1.0, "finished_at": 0.0}
    return EpochMetrics(epoch=epoch, top1=top1, **{**values, **changes})


def make_report(top1s: Sequence[float], *, epoch_seconds: float = 1.0, **changes: Any) -> TrialReport:
    """The report of a trial with one epoch for each top-1."""
    history = tuple(make_epoch(number, top1, seconds=epoch_seconds) for number, top1 in enumerate(top1s, start=1))
    values: dict[str, Any] = {"history": history, "test_top1": None, "device": "fake", "torch": "2", "finished": False}
    passes = {"ranks": 1, "micro_batch": 64, "accumulation": 1}
    return TrialReport(**{**values, **passes, **changes})
