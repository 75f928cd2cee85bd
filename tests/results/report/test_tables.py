import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from results.records import CostRecord
from results.report import paper
from results.report.column_docs import NOTES, TABLE, to_parquet
from results.report.tables import finished_top1, result_table
from results.settings import PublishedRow
from searchspace.paper_spaces import PLACEMENT
from tests.support.studies import trial_record

BASE, SKA2 = "dwconv-dwconv-attn-attn", "dwconv-ska-attn-attn"
ROWS = [
    PublishedRow(
        table=row.table,
        row=row.row,
        heads=row.heads,
        placement=row.candidate.placement,
        baseline=row.baseline.placement,
    )
    for row in PLACEMENT.published_rows()
]


def frames(*trials):
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
    columns = list(vars(trial_record()))
    return pd.DataFrame([vars(trial) for trial in trials], columns=columns), pd.DataFrame([vars(cost)])


def table(*trials, rows=ROWS):
    return result_table(*frames(*trials), rows, paper.published("Table 5")).set_index("placement")


def done(placement, seed, test):
    return trial_record(placement, seed, status="done", epoch=4, top1=test + 1, test_top1=test, device="CPU")


def test_the_papers_seven_rows_stand_in_its_order_with_its_numbers():
    rows = table(done(BASE, 0, 90.0))
    assert rows.index.tolist() == paper.published("Table 5")["placement"].tolist()
    assert rows["paper_top1"].tolist() == [77.6, 77.6, 77.0, 76.7, 77.8, 77.4, 76.7]


def test_where_the_paper_has_no_number_it_has_words():
    words = paper.published("Table 4").set_index("placement")["paper_says"]
    assert words["dwconv-cska.noscale-attn-attn"] == "changes little"


def test_seeds_are_averaged():
    row = table(done(BASE, 0, 90.0), done(BASE, 1, 92.0)).loc[BASE]
    assert (row.test_top1, row.val_top1, row.seeds) == (91.0, 92.0, 2)
    assert row.test_sd == pytest.approx(2**0.5)


def test_a_row_is_compared_with_its_baseline():
    seeds = [done(place, seed, top1 + seed / 10) for place, top1 in ((BASE, 90.0), (SKA2, 80.0)) for seed in range(3)]
    rows = table(*seeds)
    assert rows.loc[SKA2].difference == pytest.approx(-10)
    assert rows.loc[SKA2].verdict == "loss"
    assert rows.loc[BASE].verdict == ""
    assert rows["tied_best"].tolist() == [True] + [False] * 6


def test_a_row_behind_a_rung_is_not_compared():
    stopped = [trial_record(SKA2, seed, status="paused", epoch=2, top1=10.0 + seed) for seed in range(3)]
    row = table(*(done(BASE, seed, 90.0 + seed) for seed in range(3)), *stopped).loc[SKA2]
    assert row.verdict == ""
    assert pd.isna(row.difference)


def test_a_seed_behind_a_rung_is_not_averaged_with_finished_ones():
    stopped = trial_record(BASE, 1, status="paused", epoch=2, top1=10.0)
    row = table(done(BASE, 0, 90.0), stopped).loc[BASE]
    assert (row.status, row.seeds, row.val_top1) == ("1 done, 1 paused at epoch 2", 1, 91.0)
    assert finished_top1(frames(done(BASE, 0, 90.0), stopped)[0]) == {BASE: [90.0]}


def test_a_diverged_seed_is_counted_and_not_averaged():
    diverged = trial_record(BASE, 1, status="diverged", epoch=4, top1=None)
    row = table(done(BASE, 0, 90.0), diverged).loc[BASE]
    assert (row.status, row.seeds, row.test_top1) == ("1 diverged at epoch 4, 1 done", 1, 90.0)


def test_costs_are_those_of_the_device_that_the_trials_ran_on():
    trials, costs = frames(done(BASE, 0, 90.0))
    elsewhere = costs.assign(device="a faster one", images_per_second=99_999.0)
    table = result_table(trials, pd.concat([costs, elsewhere]), ROWS, paper.published("Table 5"))
    assert table["images_per_second"].dropna().tolist() == [3752.9]


def test_what_was_not_run_is_missing_and_not_zero():
    row = table(done(BASE, 0, 90.0)).loc[SKA2]
    assert row.status == "not run"
    assert pd.isna(row.test_top1)
    assert row.seeds == 0


def test_a_study_without_trials_still_shows_the_paper():
    assert len(table()) == 7


def test_a_row_of_a_figure_says_its_heads():
    row = {"row": "CSKA", "placement": BASE, "baseline": BASE}
    labels = [table(rows=[row | {"heads": heads}])["row"].iloc[0] for heads in (1, 8)]
    assert labels == ["CSKA, 1 head", "CSKA, 8 heads"]


def test_parquet_has_types_and_says_what_each_column_means(tmp_path):
    notes = {name: note for name, (_, note) in TABLE.items()}
    (tmp_path / "t.parquet").write_bytes(to_parquet(table(done(BASE, 0, 90.0)).reset_index(), notes))
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert all(schema.field(name).metadata[b"note"].decode() == note for name, note in notes.items())
    assert schema.field("seeds_needed").type == pa.int64()
    assert schema.field("difference").type == pa.float64()
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert read.attrs["columns"]["difference"].endswith("points; finished trials only")


def test_the_same_column_may_mean_different_things():
    lows = {kind: notes["low"] for kind, notes in NOTES.items() if "low" in notes}
    assert "t-interval" in lows["head_counts"]
    assert "lowest seed" in lows["learning_curves"]
    assert "bootstrap" in TABLE["low"][1]


def test_a_row_with_a_diverged_seed_does_not_win():
    seeds = [done(place, seed, top1 + seed / 10) for place, top1 in ((BASE, 80.0), (SKA2, 90.0)) for seed in range(3)]
    assert table(*seeds).loc[SKA2].verdict == "win"
    row = table(*seeds, trial_record(SKA2, 3, status="diverged", epoch=1)).loc[SKA2]
    assert (row.verdict, row.difference) == ("unresolved", pytest.approx(10))
    assert pd.isna(row.seeds_needed)


@pytest.mark.parametrize("name", ["Table 4", "Table 5"])
def test_the_papers_numbers_belong_to_published_rows(name):
    from searchspace.paper_spaces import JOINT

    placements = {row.candidate.placement for row in JOINT.published_rows() if row.table == name}
    assert set(paper.published(name)["placement"]) <= placements
