from dataclasses import replace

import pandas as pd
import pytest

from results.report import paper
from results.report.tables import result_table
from results.settings import PublishedRow
from results.statistics.finished import finished_top1
from tests.support.result_tables import BASE, SKA2, TABLE5_ROWS, done, frames, stopped, table
from tests.support.studies import trial_record


def test_the_papers_seven_rows_stand_in_its_order_with_its_numbers():
    rows = table(done(BASE, 0, 90.0))
    assert rows.index.tolist() == paper.published("Table 5")["placement"].tolist()
    assert rows["paper_top1"].tolist() == [77.6, 77.6, 77.0, 76.7, 77.8, 77.4, 76.7]


def test_costs_are_those_of_the_device_that_the_trials_ran_on():
    trials, costs = frames(done(BASE, 0, 90.0))
    costs_on_gpu = costs.assign(device="a faster one", images_per_second=99_999.0)
    table = result_table(trials, pd.concat([costs, costs_on_gpu]), TABLE5_ROWS, paper.published("Table 5"))
    assert table["images_per_second"].dropna().tolist() == [3752.9]


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


def test_a_row_paused_at_a_rung_is_not_compared():
    paused = [trial_record(SKA2, seed, status="paused", epoch=2, top1=10.0 + seed) for seed in range(3)]
    row = table(*(done(BASE, seed, 90.0 + seed) for seed in range(3)), *paused).loc[SKA2]
    assert row.verdict == ""
    assert pd.isna(row.difference)


def test_a_seed_paused_at_a_rung_is_not_averaged_with_finished_ones():
    paused = trial_record(BASE, 1, status="paused", epoch=2, top1=10.0)
    row = table(done(BASE, 0, 90.0), paused).loc[BASE]
    assert (row.status, row.seeds, row.val_top1) == ("1 done, 1 paused at epoch 2", 1, 91.0)
    assert finished_top1(frames(done(BASE, 0, 90.0), paused)[0]) == {BASE: [90.0]}


def test_a_diverged_seed_is_counted_and_not_averaged():
    diverged = trial_record(BASE, 1, status="diverged", epoch=4, top1=None)
    row = table(done(BASE, 0, 90.0), diverged).loc[BASE]
    assert (row.status, row.seeds, row.test_top1) == ("1 diverged at epoch 4, 1 done", 1, 90.0)


def test_what_was_not_run_is_missing_and_not_zero():
    row = table(done(BASE, 0, 90.0)).loc[SKA2]
    assert row.status == "not run"
    assert pd.isna(row.test_top1)
    assert row.seeds == 0


def test_a_study_without_trials_still_shows_the_paper():
    assert len(table()) == 7


def test_a_row_of_a_figure_says_its_heads():
    labels = []
    for heads in (1, 8):
        row = PublishedRow(table="Figure 3", row="CSKA", heads=heads, placement=BASE, baseline=BASE)
        labels.append(table(rows=[row])["row"].iloc[0])
    assert labels == ["CSKA, 1 head", "CSKA, 8 heads"]


def test_a_row_with_a_diverged_seed_does_not_win():
    seeds = [done(place, seed, top1 + seed / 10) for place, top1 in ((BASE, 80.0), (SKA2, 90.0)) for seed in range(3)]
    assert table(*seeds).loc[SKA2].verdict == "win"
    row = table(*seeds, trial_record(SKA2, 3, status="diverged", epoch=1)).loc[SKA2]
    assert (row.verdict, row.difference) == ("unresolved", pytest.approx(10))
    assert pd.isna(row.seeds_needed)


def test_a_stopped_row_is_a_loss_by_forecast_and_has_no_final_accuracy():
    row = table(done(BASE, 0, 90.0), stopped(SKA2)).loc[SKA2]
    assert row.verdict == "loss (stopped at epoch 2)"
    assert (row.stopped_epoch, row.forecast, row.forecast_low, row.forecast_high) == (2, -2.1, -3.0, -1.2)
    assert row[["test_top1", "difference", "p"]].isna().all()
    assert not row.tied_best


def test_a_row_of_which_a_seed_was_stopped_is_not_compared():
    base = [done(BASE, seed, 90.0 + seed) for seed in range(3)]
    row = table(*base, done(SKA2, 0, 95.0), stopped(SKA2, seed=1)).loc[SKA2]
    assert (row.verdict, row.tied_best) == ("loss (stopped at epoch 2)", False)
    assert row[["difference", "p"]].isna().all()


def test_a_row_that_was_stopped_without_evidence_is_no_loss():
    row = table(done(BASE, 0, 90.0), replace(stopped(SKA2), stopped_because=None)).loc[SKA2]
    assert (row.status, row.verdict) == ("stopped at epoch 2", "")
