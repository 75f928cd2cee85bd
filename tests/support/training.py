"""Curves of trials."""

from collections.abc import Iterable

from trainers.trial_task import Failure, TrialReport


def curve(outcomes: Iterable[TrialReport | Failure]) -> list[tuple[float, float, float]]:
    """Training loss, validation loss and top-1 of every epoch, from the last of a trial's reports."""
    report = list(outcomes)[-1]
    assert isinstance(report, TrialReport), report
    return [(epoch.train_loss, epoch.val_loss, epoch.top1) for epoch in report.history]
