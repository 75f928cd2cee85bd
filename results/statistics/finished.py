"""The trials whose test accuracies the statistics use: those that ran their whole budget."""

from __future__ import annotations

import pandas as pd


def finished_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows with status `done` and a test top-1. A trial that ended earlier is no sample of what its placement
    reaches."""
    return trials[(trials["status"] == "done") & trials["test_top1"].notna()]


def stopped_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """The placements of which a trial was stopped for futility: the stopping epoch, and the forecast that led to it.

    Where several seeds were stopped, these are those of the first. The forecast is the difference to the baseline at
    the end of training in percentage points, with its 95 % interval, and the probability of a loss.
    """
    columns = ["placement", "epoch", "forecast", "forecast_low", "forecast_high", "forecast_p_worse"]
    is_stopped = (trials["status"] == "stopped") & trials["stopped_because"].notna()
    stopped = trials[is_stopped].sort_values("seed")
    return stopped[columns].drop_duplicates("placement").rename(columns={"epoch": "stopped_epoch"})


def finished_top1(trials: pd.DataFrame) -> dict[str, list[float]]:
    """Test top-1 (percent) of the finished trials of each placement, ordered by seed."""
    finished = finished_trials(trials).sort_values("seed")
    groups = finished.groupby("placement")["test_top1"]
    return {str(placement): values.tolist() for placement, values in groups}
