import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import search_efficiency
from benchmarks.search_efficiency import run_one
from benchmarks.tabular import Table
from tests.support.tables import architectures, curve_table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (curve_table().drop(columns="trial"), "no column trial"),
        (curve_table().iloc[:-1], "unequal length"),
        (curve_table().assign(top1="high"), "no number"),
        (pd.concat([curve_table(), curve_table()]), "occur twice"),
        (pd.DataFrame({"x0": [1, 2]}), "want x0, x1, ... and top1_seed0"),
        (architectures().assign(x0=0.5), "want whole numbers"),
    ],
)
def test_a_table_of_another_kind_gets_one_line(table, message, tmp_path, capsys, monkeypatch):
    table.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(sys, "argv", ["search_efficiency", "--table", str(tmp_path / "t.parquet")])
    assert search_efficiency.main() == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("method", ["grid", "random search"])
def test_regret_is_zero_once_everything_was_evaluated(method, tmp_path):
    architectures().to_parquet(tmp_path / "t.parquet")
    frame = run_one(Table.read(tmp_path / "t.parquet"), 81, (method, 0))
    assert np.abs(frame["visited_regret"].iloc[-1]) < 1e-9
    assert frame["visited_regret"].is_monotonic_decreasing
