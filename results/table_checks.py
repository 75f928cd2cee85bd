"""How the tables of a study contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from results.records import ENDED


def contradictions(trials: pa.Table, epochs: pa.Table) -> dict[int, str]:
    """Rows of ended trials whose top-1 is not that of their last epoch, by number, and what they say.

    Which of the two was forged is unknown. Without its row a trial is reported again from its checkpoint, in whole.
    """
    curves = _curves(epochs)
    found = {}
    columns = [trials[name].to_pylist() for name in ("key", "status", "epoch", "top1")]
    for row, (key, status, epoch, top1) in enumerate(zip(*columns, strict=True)):
        num_epochs, last_top1 = curves.get(key, (0, None))
        if status in ENDED and num_epochs == epoch and num_epochs and last_top1 != top1:
            found[row] = f"it ended with top-1 {top1} and its last epoch has {last_top1}"
    return found


def disagreements(trials: pa.Table, epochs: pa.Table) -> Iterator[str]:
    """A line for each trial whose epochs are not all there, and for each curve without a trial."""
    curves = _curves(epochs)
    columns = [trials[name].to_pylist() for name in ("key", "status", "epoch")]
    for key, status, epoch in zip(*columns, strict=True):
        num_epochs, _ = curves.pop(key, (0, None))
        if status in ENDED and num_epochs != epoch:
            yield f"{key} is {status} at epoch {epoch} and has {num_epochs} epochs"
    for key in curves:
        yield f"{key} has epochs and no trial"


def _curves(epochs: pa.Table) -> dict[str, tuple[int, float | None]]:
    """For each trial, the number of its epochs and the last one's top-1. Its rows stand in order, see row_checks."""
    columns = [epochs[name].to_pylist() for name in ("key", "epoch", "top1")]
    return {key: (epoch, top1) for key, epoch, top1 in zip(*columns, strict=True)}
