"""The lines that say what a study will take."""

from types import SimpleNamespace

import pytest

from orchestrator.plan import SearchOptions
from orchestrator.preflight import Resolution, StudyEstimate
from orchestrator.preflight_text import describe, format_bytes, format_duration
from schedulers.budget import Budget
from schedulers.futility import Futility
from trainers.data.decoding_estimate import DecodingEstimate


def estimate(**changes):
    values = {
        "num_candidates": 2,
        "num_seeds": 5,
        "num_requested": 10,
        "num_pending": 8,
        "device": "CPU",
        "ranks": 1,
        "trials_at_a_time": 2,
        "slowest_speed": 100.0,
        "fastest_speed": 200.0,
        "shortest_candidate_seconds": 20.0,
        "longest_candidate_seconds": 300.0,
        "longest_pending_seconds": 20.0,
        "longest_epoch_seconds": 25.0,
        "total_seconds": 7200.0,
        "disk_bytes": 60_000_000,
        "free_bytes": 2_000_000_000,
        "loader": None,
        "resolution": Resolution(points=1.26, sd=0.5, measured=False, num_comparisons=6),
    }
    return StudyEstimate(**{**values, **changes})


def plan(baselines=None, **options):
    return SimpleNamespace(
        futility=lambda: Futility(baselines=baselines or {}, rungs=[4, 11], start=2, budget=27, margin=0.5),
        options=SearchOptions(**options),
        rungs=lambda: [2, 6],
        recipe=SimpleNamespace(budget=12),
        study=SimpleNamespace(folder="runs/s"),
        space=range(256),
    )


def test_the_estimate_has_four_lines():
    counts, time, disk, resolution = describe(estimate(), plan())
    assert counts == "2 candidates x 5 seeds = 10 trials, 8 to train, at most 12 epochs each, rungs at 2, 6"
    assert time.startswith(
        "training runs at 100 to 200 images/s (one trial alone on CPU); the longest trial takes 20 s"
    )
    assert "all together 2.0 h with 2 at a time" in time
    assert disk == "60 MB of disk needed in runs/s, 2.0 GB free"
    assert resolution.startswith("5 seeds per candidate resolve differences of 1.3 points or more in 80 % of cases")
    assert "(standard deviation 0.50 between seeds, assumed; 6 comparisons in the largest table)" in resolution


def test_that_published_rows_may_be_stopped_is_said():
    lines = describe(estimate(), plan({"row": "baseline", "other": "baseline"}))
    assert lines[1] == (
        "2 published rows may be stopped at epochs 11 if almost certain to lose against the baseline "
        "(--keep-published trains them to the end)"
    )


def test_the_free_space_of_an_object_store_is_not_mentioned():
    assert describe(estimate(free_bytes=None), plan())[2] == "60 MB of disk needed in runs/s"


def test_one_seed_gets_a_warning():
    warning = describe(estimate(resolution=None), plan())[3]
    assert warning == "one seed per candidate resolves no difference, however large: use --seeds K"


def test_ranks_and_loaders_are_mentioned_where_there_are_any():
    lines = describe(estimate(ranks=2, loader=DecodingEstimate(worker_speed=50.0, workers=3, ranks=2)), plan())
    assert "(one trial alone on CPU, on each of 2 ranks)" in lines[1]
    assert "3 loader processes for each of 2 ranks" in lines[2]


def test_a_race_has_one_line():
    (line,) = describe(estimate(), plan(race=0.95, budget=Budget(9, "trials")))
    assert line == (
        "a race of 256 candidates until confidence 0.95 or until 9 trials are spent; "
        "a trial takes 20 s to 5.0 min alone on CPU, 2 at a time"
    )


@pytest.mark.parametrize(("seconds", "text"), [(119, "119 s"), (120, "2.0 min"), (7200, "2.0 h")])
def test_durations_have_a_fitting_unit(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(38e6, "38 MB"), (1.25e9, "1.2 GB")])
def test_sizes_have_a_fitting_unit(number, text):
    assert format_bytes(number) == text
