"""The measured costs of a study's candidates on the device that most of its trials ran on."""

from __future__ import annotations

import pandas as pd


def main_device(trials: pd.DataFrame) -> str:
    """The device that most trials ran on; empty if none ran."""
    devices = trials["device"][trials["device"] != ""].mode()
    return "" if devices.empty else str(devices[0])


def main_device_costs(trials: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """The rows of `costs` on the main device: candidate, num_params, flops and images_per_second."""
    columns = ["candidate", "num_params", "flops", "images_per_second"]
    return costs[costs["device"] == main_device(trials)][columns]


def cost_by_placement(trials: pd.DataFrame, costs: pd.DataFrame, column: str) -> dict[str, float]:
    """One column of `costs` on the main device, by placement."""
    placements = trials.drop_duplicates("placement")[["candidate", "placement"]]
    measured = main_device_costs(trials, costs).merge(placements, on="candidate")
    values = measured[column].astype("float64")
    return dict(zip(measured["placement"], values, strict=True))
