import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from results.report import paper
from results.statistics.effects import importance, interactions, main_effects

BASE = "dwconv-dwconv-attn-attn"
SKA2 = "dwconv-ska-attn-attn"
PLANTED = {"ska": 1.0, "cska": -2.0}


def study(*rows):
    """Finished trials from (placement, test top-1) pairs."""
    return pd.DataFrame([{"placement": p, "status": "done", "test_top1": y} for p, y in rows])


def grid(top1, repeat=1):
    """Two stages with three mixers each, in all nine combinations."""
    pairs = itertools.product(("dwconv", "ska", "cska"), ("attn", "ska", "cska"))
    return study(*((f"dwconv-{two}-{three}-attn", top1(two, three)) for two, three in pairs for _ in range(repeat)))


def noisy(top1):
    draw = np.random.default_rng(0)
    return grid(lambda two, three: top1(two, three) + draw.normal(0, 0.1), repeat=3)


def additive(two, three):
    return 70 + PLANTED.get(two, 0) + 0.25 * PLANTED.get(three, 0)


def test_two_mixers_differ_by_their_means_within_the_pooled_t_interval():
    base, ska = [70.0, 71.0, 72.0], [74.0, 73.0, 75.5, 74.5]
    row = main_effects(study(*((BASE, y) for y in base), *((SKA2, y) for y in ska)), BASE).iloc[0]
    twin = stats.ttest_ind(ska, base)
    assert (row.factor, row.level, row.trials) == ("stage 2", "ska", 4)
    assert row.effect == pytest.approx(np.mean(ska) - np.mean(base))
    assert (row.low, row.high) == pytest.approx(tuple(twin.confidence_interval()))
    assert row.p == pytest.approx(twin.pvalue)


def test_additive_effects_without_noise_are_recovered():
    table = main_effects(grid(additive), BASE).set_index(["factor", "level"])
    assert table["effect"].tolist() == pytest.approx([-2.0, 1.0, -0.5, 0.25])
    assert (table["high"] - table["low"]).tolist() == [0.0] * 4
    assert table["p"].isna().all()


def test_a_switch_has_an_effect_of_its_own():
    ska = "dwconv-ska.noscale-attn-attn"
    table = main_effects(study((BASE, 70.0), (SKA2, 73.0), (ska, 72.0)), BASE).set_index("factor")
    assert table["effect"].to_dict() == pytest.approx({"stage 2": 3.0, "stage 2 noscale": -1.0})


def test_levels_come_in_the_order_of_their_numbers():
    heads = study(*((f"dwconv-cska{h}-attn-attn", 70.0) for h in ("", ".h4", ".h8", ".h16")))
    table = main_effects(heads, "dwconv-cska.h4-attn-attn")
    assert table["level"].tolist() == ["default", "8", "16"]


def test_one_seed_a_row_has_effects_and_no_intervals():
    row = main_effects(study((BASE, 70.0), (SKA2, 73.0)), BASE).iloc[0]
    assert row.effect == pytest.approx(3.0)
    assert row[["low", "high", "p"]].isna().all()


def test_stages_that_change_together_cannot_be_told_apart():
    both = [(BASE, 70.0), (BASE, 71.0), ("dwconv-ska-ska-attn", 73.0), ("dwconv-ska-ska-attn", 75.0)]
    table = main_effects(study(*both), BASE)
    assert table["factor"].tolist() == ["stage 2", "stage 3"]
    assert table[["effect", "low", "high", "p"]].isna().all(axis=None)
    assert importance(study(*both), BASE)["share"].isna().all()


def test_nothing_is_said_against_a_baseline_that_did_not_run():
    table = main_effects(study((SKA2, 70.0), (SKA2, 71.0), ("dwconv-cska-attn-attn", 72.0)), BASE)
    assert table["level"].tolist() == ["cska", "ska"]
    assert table["effect"].isna().all()


def test_a_planted_interaction_is_recovered():
    trials = noisy(lambda two, three: additive(two, three) + 4 * (two == three == "cska"))
    table = interactions(trials, BASE).set_index("levels")
    planted = table.loc["cska x cska"]
    assert (planted.factors, planted.trials, len(table)) == ("stage 2 x stage 3", 3, 4)
    assert planted.low < 4 < planted.high
    assert table["p"].idxmin() == "cska x cska"


def test_an_interaction_is_what_two_changes_add_to_each_one_alone():
    both = "dwconv-ska-ska-attn"
    trials = study((BASE, 70.0), (SKA2, 71.0), ("dwconv-dwconv-ska-attn", 72.0), (both, 76.0))
    row = interactions(trials, BASE).iloc[0]
    assert (row.levels, row.effect) == ("ska x ska", pytest.approx(3.0))
    assert np.isnan(row.p)


def test_the_papers_rows_have_no_interaction():
    table5 = paper.published("Table 5")
    trials = study(*zip(table5["placement"], table5["paper_top1"], strict=True))
    assert interactions(trials, BASE).empty
    assert not importance(trials, BASE)["factor"].str.contains(" x ").any()
    assert main_effects(trials, BASE)["effect"].tolist() == pytest.approx([0.2, 0, -0.2, -0.6, -0.9, -0.9])


def test_the_stage_that_matters_comes_first():
    table = importance(noisy(additive), BASE)
    assert table["factor"].tolist() == ["stage 2", "stage 3", "stage 2 x stage 3"]
    assert table["share"].between(0, 1).all()
    assert table["p"].iloc[0] < 1e-9 < table["p"].iloc[2]


def test_the_share_of_a_single_factor_is_that_of_an_analysis_of_variance():
    groups = {BASE: [70.0, 72.0], SKA2: [74.0, 76.0], "dwconv-cska-attn-attn": [72.0, 72.0]}
    row = importance(study(*((p, y) for p, group in groups.items() for y in group)), BASE).iloc[0]
    assert row.share == pytest.approx(52 / 3 / (64 / 3))
    assert row.p == pytest.approx(stats.f_oneway(*groups.values()).pvalue)


def test_paused_trials_are_ignored():
    trials = study((BASE, 70.0), (BASE, 71.0), (SKA2, 73.0))
    paused = study((SKA2, 10.0), ("ska-ska-ska-ska", 10.0)).assign(status="paused")
    for question in (main_effects, interactions, importance):
        pd.testing.assert_frame_equal(question(pd.concat([trials, paused]), BASE), question(trials, BASE))


def test_constant_accuracies_have_no_effect_and_no_p():
    trials = grid(lambda two, three: 70.0, repeat=2)
    table = main_effects(trials, BASE)
    assert table[["effect", "low", "high"]].to_numpy() == pytest.approx(0, abs=1e-10)
    assert table["p"].isna().all()
    assert importance(trials, BASE)["share"].isna().all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [[], [(SKA2, 70.0)], [(SKA2, 70.0), (SKA2, 71.0)], [(BASE, None)]])
@pytest.mark.parametrize("question", [main_effects, interactions, importance])
def test_where_nothing_differs_the_tables_are_empty(question, rows):
    trials = study((BASE, 70.0), *rows)[1:]
    full = question(study((BASE, 70.0), (SKA2, 71.0)), BASE)
    table = question(trials, BASE)
    assert table.empty
    assert table.dtypes.equals(full.dtypes)
