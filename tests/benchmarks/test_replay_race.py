"""Replays of races on a table that can be solved by hand."""

import numpy as np
import pytest

from benchmarks import replay_race
from benchmarks.replay_race import Instance
from benchmarks.tabular import Table
from tests.support.invented_spaces import full_space
from tests.support.tables import architectures


def test_the_setting_nearest_to_one_half_is_taken_where_none_is_near(tmp_path):
    architectures().to_parquet(tmp_path / "t.parquet")
    chosen = replay_race.selected(Table.read(tmp_path / "t.parquet"), None)
    assert [len(each.truth) for each in chosen] == [81]


def test_noise_that_cannot_be_measured_gets_one_line(tmp_path, capsys):
    architectures().drop(columns="top1_seed1").to_parquet(tmp_path / "t.parquet")
    assert replay_race.main(["--table", str(tmp_path / "t.parquet")]) == 2
    assert "no row with two seeds" in capsys.readouterr().err


def test_where_two_tie_for_the_best_none_is_right():
    instance = Instance("tie", full_space(3), np.array([90.0, 91.0, 91.0]), sd=0.1)
    assert not instance.right(np.array([1, 2])).any()


def test_more_seeds_are_more_often_right():
    instance = Instance("near", full_space(2), np.array([90.0, 90.2]), sd=0.2)
    one, five = (instance.exhaustive(np.array(seeds), np.random.default_rng(0)) for seeds in (1, 5))
    assert one == pytest.approx(0.76, abs=0.02)  # P(difference of sd .28 below .2)
    assert five > 0.9
