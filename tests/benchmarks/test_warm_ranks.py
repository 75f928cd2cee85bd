"""Rank correlations between warm starts and whole trainings, by hand."""

from itertools import product

import numpy as np
import pytest

from benchmarks.warm_ranks import kept, rank_correlation, residual

PLACEMENTS = [f"{a}-{b}-{c}-attn" for a, b, c in product(("dwconv", "ska", "cska", "attn"), repeat=3)]


def test_a_stage_is_kept_if_it_is_the_baselines():
    stages = kept(PLACEMENTS)
    assert stages[PLACEMENTS.index("dwconv-dwconv-attn-attn")].tolist() == [1, 1, 1, 1]
    assert stages[PLACEMENTS.index("ska-dwconv-dwconv-attn")].tolist() == [0, 1, 0, 1]


def test_ranks_agree_among_placements_that_keep_the_same_stages():
    """A warm start that adds points for each kept stage hides the ranks over all; the residuals show them."""
    stages = kept(PLACEMENTS)
    final = np.random.default_rng(0).normal(size=len(PLACEMENTS))
    warm = final + 100 * stages.sum(axis=1)
    assert rank_correlation(residual(warm, stages), residual(final, stages))[0] == pytest.approx(1)
    value, low, high = rank_correlation(warm, final)
    assert low < value < high < 0.9
