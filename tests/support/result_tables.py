"""Result tables of trials that were never run."""

import pandas as pd

from results.records import CostRecord, TrialRecord
from results.report import paper
from results.report.tables import result_table
from results.settings import PublishedRow
from searchspace.paper_spaces import PLACEMENT
from tests.support.studies import trial_record

BASE = "dwconv-dwconv-attn-attn"
SKA2 = "dwconv-ska-attn-attn"
TABLE5_ROWS = [
    PublishedRow(
        table=row.table,
        row=row.row,
        heads=row.heads,
        placement=row.candidate.placement,
        baseline=row.baseline.placement,
    )
    for row in PLACEMENT.on("caformer_micro").published_rows()
]


def done(placement: str, seed: int, test_top1: float) -> TrialRecord:
    """A finished trial; its validation top-1 is one point above its test top-1."""
    changes = {"status": "done", "epoch": 4, "top1": test_top1 + 1, "test_top1": test_top1, "device": "CPU"}
    return trial_record(placement, seed, **changes)


def frames(*trials: TrialRecord) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials, and the cost of the baseline, as a study returns them."""
    cost = CostRecord(
        key="k",
        candidate=f"caformer_micro-{BASE}",
        device="CPU",
        img_size=32,
        batch_size=1,
        num_params=351_480,
        flops=10_622_464,
        images_per_second=3752.9,
        train_images_per_second=1.0,
        peak_memory=1,
    )
    rows = pd.DataFrame([vars(trial) for trial in trials], columns=list(vars(trial_record())))
    return rows, pd.DataFrame([vars(cost)])


def table(*trials: TrialRecord, rows: list[PublishedRow] = TABLE5_ROWS) -> pd.DataFrame:
    """The paper's Table 5 filled from these trials, by placement."""
    return result_table(*frames(*trials), rows, paper.published("Table 5")).set_index("placement")


def stopped(placement: str, seed: int = 0, epoch: int = 2) -> TrialRecord:
    """A trial that was stopped for futility, with its evidence."""
    return trial_record(
        placement,
        seed,
        status="stopped",
        epoch=epoch,
        top1=50.0,
        device="CPU",
        stopped_because="it was forecast to lose",
        forecast=-2.1,
        forecast_low=-3.0,
        forecast_high=-1.2,
        forecast_p_worse=0.9964,
    )
