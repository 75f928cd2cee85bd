"""Trials and costs behind figures, by placement; nothing was run."""

import pandas as pd

from results.settings import PublishedRow

BASE = "dwconv-dwconv-attn-attn"


def finished(**top1: list[float]) -> pd.DataFrame:
    """Finished trials: for each placement its seeds' test top-1."""
    rows = []
    for placement, values in top1.items():
        for seed, value in enumerate(values):
            names = {"key": f"{placement}{seed}", "candidate": f"c-{placement}", "placement": placement}
            rows.append({**names, "seed": seed, "test_top1": value})
    return pd.DataFrame(rows).assign(status="done", device="CPU")


def costs(**speeds: float) -> pd.DataFrame:
    """Costs on the trials' device: for each placement its images per second; slower ones have more FLOPs."""
    rows = []
    for placement, speed in speeds.items():
        rows.append({"candidate": f"c-{placement}", "flops": 1000 - speed, "images_per_second": speed})
    return pd.DataFrame(rows).assign(device="CPU", num_params=1)


def row(placement: str, heads: int, series: str = "CSKA") -> PublishedRow:
    """A row of Figure 3."""
    return PublishedRow(table="Figure 3", row=series, heads=heads, placement=placement, baseline=BASE)
