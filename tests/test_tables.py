import re

import pandas as pd
import pytest
from conftest import trial_record

from results import paper
from results.records import CostRecord
from results.tables import _escape, placement_table, to_latex, to_markdown, typeset

BASE, SKA2 = "dwconv-dwconv-attn-attn", "dwconv-ska-attn-attn"
OTHER, FURTHER = "ska-ska-ska-ska", "attn-attn-attn-attn"


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
    return pd.DataFrame([vars(trial) for trial in trials]), pd.DataFrame([vars(cost)]), paper.table5()


def table(*trials):
    return placement_table(*frames(*trials)).set_index("placement")


def done(placement, seed, test):
    return trial_record(placement, seed, status="done", epoch=4, top1=test + 1, test_top1=test, device="CPU")


def test_the_papers_seven_rows_stand_in_its_order_with_its_numbers():
    assert paper.table5()["top1"].tolist() == [77.6, 77.6, 77.0, 76.7, 77.8, 77.4, 76.7]
    assert table(done(BASE, 0, 90.0)).index.tolist() == paper.table5()["placement"].tolist()


def test_seeds_are_averaged():
    row = table(done(BASE, 0, 90.0), done(BASE, 1, 92.0)).loc[BASE]
    assert (row.test_top1, row.val_top1, row.seeds) == (91.0, 92.0, 2)
    assert row.test_sd == pytest.approx(2**0.5)


def test_a_seed_behind_a_rung_is_not_averaged_with_finished_ones():
    stopped = trial_record(BASE, 1, status="stopped", epoch=2, top1=10.0)
    row = table(done(BASE, 0, 90.0), stopped).loc[BASE]
    assert (row.status, row.seeds, row.val_top1) == ("1 done, 1 stopped at epoch 2", 1, 91.0)


def test_a_diverged_seed_is_counted_and_not_averaged():
    diverged = trial_record(BASE, 1, status="diverged", epoch=4, top1=None)
    row = table(done(BASE, 0, 90.0), diverged).loc[BASE]
    assert (row.status, row.seeds, row.test_top1) == ("1 diverged at epoch 4, 1 done", 1, 90.0)


def test_costs_are_those_of_the_device_that_the_trials_ran_on():
    trials, costs, published = frames(done(BASE, 0, 90.0))
    elsewhere = costs.assign(device="a faster one", images_per_second=99_999.0)
    table = placement_table(trials, pd.concat([costs, elsewhere]), published)
    assert table["images_per_second"].dropna().tolist() == [3752.9]


def test_other_placements_follow_the_furthest_first():
    early, late = (trial_record(p, status="stopped", epoch=e, top1=50.0) for p, e in ((OTHER, 1), (FURTHER, 2)))
    assert table(early, late).index.tolist()[7:] == [FURTHER, OTHER]


def test_what_was_not_run_is_missing_and_not_zero():
    row = table(done(BASE, 0, 90.0)).loc[SKA2]
    assert row.status == "not run"
    assert pd.isna(row.test_top1)
    assert row.seeds == 0


def test_a_study_without_trials_still_shows_the_paper():
    empty = frames(done(BASE, 0, 90.0))[0].iloc[:0]
    assert len(placement_table(empty, *frames(done(BASE, 0, 90.0))[1:])) == 7


def test_the_text_marks_stopped_rows_with_their_epoch():
    stopped = trial_record(SKA2, status="stopped", epoch=2, top1=80.0)
    text = typeset(placement_table(*frames(done(BASE, 0, 90.0), stopped)))
    assert text["state"].tolist()[:3] == ["done", "stopped at epoch 2", "not run"]
    cost = ["351.48 k", "10.62 M", "3,753"]
    assert text.iloc[0].tolist() == ["DW DW ATTN ATTN", "90.0", "91.0", "1", "done", "77.6", *cost]


def test_markdown_has_a_line_per_row():
    markdown = to_markdown(typeset(placement_table(*frames(done(BASE, 0, 90.0)))))
    assert len(markdown.splitlines()) == 2 + 7


def test_latex_is_balanced_escaped_and_uses_booktabs():
    trials = frames(done(BASE, 0, 90.0), done(BASE, 1, 91.0))
    latex = to_latex(typeset(placement_table(*trials)), "caformer_micro, 100 % ± 1", "tab:x")
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1]
    assert r"\toprule" in latex
    assert r"caformer\_micro, 100 \% $\pm$ 1" in latex
    assert not re.search(r"(?<!\\)[%_#]|±", latex)


def test_latex_escapes_what_a_folder_may_be_called():
    assert _escape("a$\\b_{x}~^") == r"a\$\textbackslash{}b\_\{x\}\textasciitilde{}\textasciicircum{}"
