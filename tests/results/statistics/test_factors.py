import pandas as pd

from results.statistics.factors import factors, interaction_columns, make_design

BASE = "dwconv-dwconv-attn-attn"
SKA2 = "dwconv-ska-attn-attn"
BOTH = "dwconv-ska-ska-attn"


def test_factors_are_mixers_then_switches():
    table = factors(pd.Series([BASE, "dwconv-cska.h8.small.noscale-attn-attn", "dwconv-cska.h16.d4.k5-attn-attn"]))
    switches = ["head dim", "heads", "kernel size", "key", "noscale"]
    assert list(table) == ["stage 2", *(f"stage 2 {switch}" for switch in switches)]
    assert table.iloc[1].tolist() == ["cska", "default", "8", "default", "small", "yes"]
    assert table["stage 2 heads"].cat.categories.tolist() == ["default", "8", "16"]
    assert table["stage 2 noscale"].tolist() == ["no", "yes", "no"]


def test_a_switch_of_the_users_own_is_a_flag():
    table = factors(pd.Series([BASE, "dwconv-dwconv-attn.h2o-attn"]))
    assert table["stage 3 h2o"].tolist() == ["no", "yes"]


def test_a_factor_without_variation_is_left_out():
    assert factors(pd.Series([BASE, BASE])).empty


def test_a_design_has_a_column_for_each_level_but_the_baselines():
    design = make_design(pd.Series([BASE, SKA2, BOTH]), BASE)
    assert {key: column.tolist() for key, column in design.items()} == {
        ("stage 2", "ska"): [0, 1, 1],
        ("stage 3", "ska"): [0, 0, 1],
    }


def test_a_level_that_all_trials_have_is_the_intercept():
    assert make_design(pd.Series([SKA2, SKA2]), BASE) == {}


def test_only_pairs_that_occur_together_interact():
    apart = make_design(pd.Series([BASE, SKA2, "dwconv-dwconv-ska-attn"]), BASE)
    together = make_design(pd.Series([BASE, SKA2, BOTH]), BASE)
    assert interaction_columns(apart) == {}
    pairs = interaction_columns(together)
    assert {key: column.tolist() for key, column in pairs.items()} == {("stage 2 x stage 3", "ska x ska"): [0, 0, 1]}
