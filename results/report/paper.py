"""The published numbers of "Static Key Attention in Vision" (arXiv 2412.07049), each with its table and section."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

TITLES = {
    "Table 5": "placement of SKA and CSKA",
    "Table 4": "design of CSKA in stage 2",
    "Figure 3": "heads of CSKA and SKA in stage 2",
    "Open points": "what the paper's text and its authors' code leave open about CSKA",
    "Open points of SKA": "where the paper's text and its authors' published class put it",
}
# What the paper says beside its numbers, as the last sentence of a table's caption.
REMARKS = {
    "Table 5": "Paper: CAFormer-S18 on ImageNet-1k at 224 px, epoch 160, one run; only the order is comparable.",
    "Table 4": "Paper: softmax is crucial, scale changes little (from its text; its numbers are not in our sources).",
    "Figure 3": "Paper: accuracy rises with the number of heads, speed falls slightly (from its text, for CSKA).",
}


def published(table: str) -> pd.DataFrame:
    """The rows of `table` ("Table 5"): row, placement, paper_top1 (percent, one run each), or paper_says where the
    number is not known. Placements are written without CSKA's heads, which depend on the stage."""
    files = sorted((Path(__file__).parent / "paper").glob("*.csv"))
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    rows = rows[rows["table"] == table].reset_index(drop=True)
    return rows.rename(columns={"top1": "paper_top1", "says": "paper_says"})
