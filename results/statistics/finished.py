"""The trials whose test accuracies the statistics use: those that ran their whole budget."""

from __future__ import annotations

import pandas as pd


def finished_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows with status `done` and a test top-1. A trial that ended earlier is no sample of what its placement
    reaches."""
    return trials[(trials["status"] == "done") & trials["test_top1"].notna()]


def finished_top1(trials: pd.DataFrame) -> dict[str, list[float]]:
    """Test top-1 (percent) of the finished trials of each placement, ordered by seed."""
    finished = finished_trials(trials).sort_values("seed")
    groups = finished.groupby("placement")["test_top1"]
    return {str(placement): values.tolist() for placement, values in groups}
