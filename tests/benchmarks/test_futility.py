"""The replay of futility stopping, on curves that can be judged by eye."""

import numpy as np
import pytest

from benchmarks import futility
from benchmarks.futility import CurveSet, Study, main, make_search, play, read_sets, replay, simulate
from tests.support.paths import ROOT

EPOCH = np.arange(1, 61)


def study(*ends, seeds=3):
    """Curves that flatten out at these ends; the first is the baseline's."""
    curves = np.array(ends)[:, None, None] * (1 - 1 / EPOCH**2) * np.ones((1, seeds, 1))
    return Study(curves, np.array(ends))


def curve_set(*ends):
    return CurveSet(lambda rng: study(*ends), seeds=3, epochs=60)


def test_rungs_lie_as_in_the_recipe_ablation():
    assert curve_set().rungs() == [4, 13, 39]
    assert read_sets(ROOT / "benchmarks")["simulated"].rungs() == [30, 50, 110]


def test_a_hopeless_row_is_stopped_once_and_the_others_run_all_their_seeds():
    one_bad = curve_set(90.0, *[90.1] * 5, 50.0)
    trials = play(make_search(one_bad, 3), study(90.0, *[90.1] * 5, 50.0).curves, workers=7)
    assert sum(trial.status == "done" for trial in trials.values()) == 6 * 3
    assert [(name, len(trial.top1)) for name, trial in trials.items() if trial.status == "stopped"] == [(("6", 0), 13)]


def test_saved_epochs_count_the_seeds_that_never_began():
    *ties, bad = replay(curve_set(90.0, *[90.1] * 5, 50.0), seeds=3, studies=1)
    assert ties == [(True, False, 0.0)] * 5
    assert bad == (False, True, pytest.approx(1 - 13 / 180))


def test_simulated_rows_end_where_table_5_has_them():
    drawn = simulate(np.random.default_rng(0), seeds=1)
    assert set(np.round(drawn.ends - drawn.ends[0], 1)) <= set(futility.TABLE5)
    assert drawn.curves[:, 0, -1] == pytest.approx(drawn.ends, abs=0.6)


def test_a_line_for_each_set_and_number_of_seeds(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(futility, "read_sets", lambda folder: {"mine": curve_set(90.0, *[90.1] * 5, 50.0)})
    assert main(["--studies", "1", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("mine") == 2  # one seed and three
    assert (tmp_path / "futility.parquet").exists()
