"""The replays of searches on tables that can be solved by hand."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import replay_race, replay_rungs, search_efficiency
from benchmarks.replay_rungs import END, our_search, ray_search
from benchmarks.tabular import Table
from schedulers.rungs import Asha

# Nine trials of three epochs: the best, trial 0, begins worst, so that Ray's ASHA stops it at its first epoch.
CURVES = np.array([[1.0, 90.0, 99.0], *([50.0 + trial, 60.0, 70.0] for trial in range(8))])
LAST = [8, 7, 6, 5, 4, 3, 2, 1, 0]


def curve_table(curves=CURVES):
    rows = [(str(trial), epoch, top1) for trial, curve in enumerate(curves) for epoch, top1 in enumerate(curve, 1)]
    return pd.DataFrame(rows, columns=["trial", "epoch", "top1"])


def architectures(**columns):
    levels = np.stack(np.meshgrid(*[range(3)] * 4), -1).reshape(-1, 4)
    table = pd.DataFrame(levels, columns=["x0", "x1", "x2", "x3"])
    return table.assign(top1_seed0=levels.sum(1) + 80.0, top1_seed1=levels.sum(1) + 80.1, **columns)


def test_what_pauses_goes_on_and_is_found():
    found = list(our_search(CURVES, LAST, 1, rule=Asha))
    assert sorted(trial for _, trial in found) == list(range(9))
    assert found[-1] == (27, 0)  # every epoch once


def test_rays_search_ends_and_begins_again():
    found = list(ray_search(CURVES, LAST, 1))
    trials = [trial for _, trial in found]
    over = trials.index(END)
    assert 0 not in trials[:over]
    assert trials[-1] == 0
    assert found[-1][0] - found[over][0] == 3 * len(trials[over + 1 :])


def test_a_table_of_architectures_is_read(tmp_path):
    architectures().to_parquet(tmp_path / "t.parquet")
    table = Table.read(tmp_path / "t.parquet")
    assert (len(table.space), table.means().max()) == (81, 88.05)


def test_races_take_the_setting_nearest_to_one_half_where_none_is_near(tmp_path):
    architectures().to_parquet(tmp_path / "t.parquet")
    chosen = replay_race.selected(Table.read(tmp_path / "t.parquet"), None)
    assert [len(each.truth) for each in chosen] == [81]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (curve_table().drop(columns="trial"), "no column trial"),
        (curve_table().iloc[:-1], "unequal length"),
        (curve_table().assign(top1="high"), "no number"),
        (pd.concat([curve_table(), curve_table()]), "occur twice"),
        (pd.DataFrame({"x0": [1, 2]}), "want x0, x1, ... and top1_seed0"),
        (architectures().assign(x0=0.5), "want whole numbers"),
    ],
)
def test_a_table_of_another_kind_gets_one_line(table, told, tmp_path, capsys, monkeypatch):
    table.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(sys, "argv", ["search_efficiency", "--table", str(tmp_path / "t.parquet")])
    assert search_efficiency.main() == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_noise_that_cannot_be_measured_gets_one_line(tmp_path, capsys):
    architectures().drop(columns="top1_seed1").to_parquet(tmp_path / "t.parquet")
    assert replay_race.main(["--table", str(tmp_path / "t.parquet")]) == 2
    assert "no row with two seeds" in capsys.readouterr().err


def test_the_committed_curves_can_be_read():
    assert replay_rungs.read(replay_rungs.CURVES).shape == (64, 27)
