"""The published numbers of "Static Key Attention in Vision" (arXiv 2412.07049), each with its table and section."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_FOLDER = Path(__file__).parent / "paper"


def table5() -> pd.DataFrame:
    """Placement of SKA and CSKA in CAFormer-S18: top-1 in percent on ImageNet-1k at 224 px, epoch 160, one run each."""
    return pd.read_csv(_FOLDER / "table5.csv")
