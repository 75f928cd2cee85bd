"""Replays of rungs on learning curves that can be solved by hand."""

import numpy as np

from benchmarks import replay_rungs
from benchmarks.replay_rungs import END, our_search, ray_search, train_everything
from schedulers.rungs import Asha

# Nine trials of three epochs: the best, trial 0, begins worst, so that Ray's ASHA stops it at its first epoch.
CURVES = np.array([[1.0, 90.0, 99.0], *([50.0 + trial, 60.0, 70.0] for trial in range(8))])
LAST = [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_paused_trials_are_resumed_and_found():
    found = list(our_search(CURVES, LAST, 1, rule=Asha))
    assert sorted(trial for _, trial in found) == list(range(9))
    assert found[-1] == (27, 0)  # every epoch once


def test_rays_search_ends_and_begins_again():
    found = list(ray_search(CURVES, LAST, 1))
    trials = [trial for _, trial in found]
    end = trials.index(END)
    assert 0 not in trials[:end]
    assert trials[-1] == 0
    assert found[-1][0] - found[end][0] == 3 * len(trials[end + 1 :])


def test_everything_is_trained_in_groups_of_the_workers():
    assert list(train_everything(CURVES[:3], [2, 0, 1], workers=2)) == [(6, 2), (6, 0), (9, 1)]


def test_rungs_are_powers_of_the_factor_and_the_end():
    assert replay_rungs.levels(27) == (1, 3, 9, 27)


def test_the_committed_curves_can_be_read():
    assert replay_rungs.read(replay_rungs.CURVES).shape == (64, 27)
