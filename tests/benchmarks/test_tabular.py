import argparse

import numpy as np
import pytest

from benchmarks.tabular import Table, confidence, positive
from tests.support.tables import architectures


@pytest.fixture
def table(tmp_path):
    architectures().to_parquet(tmp_path / "t.parquet")
    return Table.read(tmp_path / "t.parquet")


def test_a_table_of_architectures_is_read(table):
    assert (len(table.space), table.means().max()) == (81, 88.05)


def test_the_nearest_row_has_the_levels_if_any_has(table):
    levels = table.space.levels[40]
    assert table.nearest(levels, np.random.default_rng(0)) == 40


def test_a_draw_is_one_of_the_seeds(table):
    assert table.draw(0, np.random.default_rng(0)) in table.top1[0]


@pytest.mark.parametrize(("kind", "text"), [(positive, "0"), (confidence, "0.5"), (confidence, "1")])
def test_numbers_out_of_range_are_refused(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text}, want"):
        kind(text)
