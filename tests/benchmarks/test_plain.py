import pytest

from benchmarks.plain import PLAIN
from benchmarks.tabular import Table
from tests.support.tables import architectures


@pytest.mark.parametrize("method", PLAIN)
def test_a_method_evaluates_as_often_as_it_is_asked(method, tmp_path):
    architectures().to_parquet(tmp_path / "t.parquet")
    table = Table.read(tmp_path / "t.parquet")
    rows = []

    def evaluate(row):
        rows.append(row)
        return float(table.means()[row])

    PLAIN[method](table, evaluate, 30, 0)
    assert len(rows) == 30
    assert set(rows) <= set(range(81))
