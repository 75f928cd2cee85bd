import re
from dataclasses import replace

import pandas as pd

from results.report.typeset import spell, typeset, typeset_plainly
from tests.support.result_tables import BASE, SKA2, done, stopped, table
from tests.support.studies import trial_record


def text(*trials):
    return typeset(table(*trials).reset_index())


def pair(one, other, seeds=3):
    """Trials of the baseline and of SKA in stage 2, a tenth of a point between seeds."""
    return [
        done(place, seed, top1 + seed / 10) for place, top1 in ((BASE, one), (SKA2, other)) for seed in range(seeds)
    ]


def test_a_line_has_numbers_difference_verdict_and_cost():
    cells = text(*pair(90.0, 80.0)).set_index("row")
    base, ska = cells.loc["no static keys"], cells.loc["SKA in stage 2"]
    assert base["stages 1 to 4"] == "DW DW ATTN ATTN"
    assert (base["test top-1 %"], base["difference"], base["verdict"]) == ("**90.1 ± 0.1**", "baseline", "-")
    assert (base["params"], base["FLOPs"], base["images/s"]) == ("351.48 k", "10.62 M", "3,753")
    assert (ska["test top-1 %"], ska["verdict"], ska["paper"]) == ("80.1 ± 0.1", "loss", "77.6")
    assert re.fullmatch(r"-10\.0 \[-10\.\d, -9\.\d\]", ska["difference"])


def test_an_unresolved_row_says_how_many_seeds_would_resolve_it():
    noisy = [done(place, seed, top1 + seed) for place, top1 in ((BASE, 90.0), (SKA2, 91.0)) for seed in range(3)]
    # sd 1, difference 1, one comparison: 17 seeds an arm.
    assert text(*noisy).set_index("row").loc["SKA in stage 2"].verdict == "unresolved (17 seeds)"


def test_a_tie_for_the_best_is_typeset_as_one():
    trials = [*pair(90.0, 90.1), *(done("dwconv-cska-attn-attn", seed, 80.0 + seed / 10) for seed in range(3))]
    bold = text(*trials)["test top-1 %"].str.startswith("**").tolist()
    assert bold == [True, True, False, False, False, False, False]


def test_where_all_are_tied_nothing_is_bold():
    assert not text(*pair(90.0, 90.1)).map(lambda cell: "**" in cell).any(axis=None)


def test_the_text_marks_paused_rows_with_their_epoch():
    paused = trial_record(SKA2, status="paused", epoch=2, top1=80.0)
    assert text(done(BASE, 0, 90.0), paused)["state"].tolist()[:3] == ["done", "paused at epoch 2", "not run"]


def test_switches_keep_their_case():
    assert spell("dwconv-cska.h8.nosoftmax-attn-attn") == "DW CSKA.h8.nosoftmax ATTN ATTN"


def test_any_table_becomes_text():
    numbers = pd.DataFrame({"factor": ["stage 2"], "share": [0.123], "p": [0.0004], "trials": [3]})
    assert typeset_plainly(numbers).iloc[0].tolist() == ["stage 2", "0.12", "< .001", "3"]


def test_a_stopped_row_shows_its_forecast_and_the_epoch_of_its_accuracy():
    row = text(done(BASE, 0, 90.0), stopped(SKA2)).set_index("row").loc["SKA in stage 2"]
    assert (row["test top-1 %"], row["val top-1 %"]) == ("-", "50.0 at epoch 2")
    assert (row["difference"], row["verdict"]) == ("forecast -2.1 [-3.0, -1.2]", "loss (stopped at epoch 2)")
    assert row["state"] == "stopped at epoch 2, P(worse) 0.996"


def test_no_forecast_is_shown_as_certain():
    certain = replace(stopped(SKA2), forecast_p_worse=1.0)
    assert text(certain).set_index("row").loc["SKA in stage 2"]["state"].endswith("P(worse) >0.999")
