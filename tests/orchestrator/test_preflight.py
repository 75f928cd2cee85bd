"""What is foretold, solved by hand."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from orchestrator.plan import SearchOptions
from orchestrator.preflight import Preflight, Speed, _duration, extremes
from results.statistics.comparison import smallest_difference
from results.store import Study
from tests.support.studies import trial_record
from trainers.cost import Cost
from trainers.data.in_memory import InMemoryDataset
from trainers.recipes import DIGITS

CHEAP = Cost("CPU", 64, 100, 1000, images_per_second=400.0, train_images_per_second=200.0, peak_memory=None)
DEAR = replace(CHEAP, num_params=300, flops=3000, images_per_second=200.0, train_images_per_second=100.0)
SIZES = {"cheap": (100, 1000), "middle": (1_000_000, 2000), "dear": (300, 3000)}
RECIPE = replace(DIGITS, val_fraction=0.1)


@pytest.fixture
def data():
    """A thousand images to train on, a hundred of them held out, and two hundred to test on."""
    images, labels = np.zeros((1000, 1, 1, 1), np.uint8), np.arange(1000) % 2
    return InMemoryDataset(
        name="none",
        classes=("a", "b"),
        train_images=images,
        train_labels=labels,
        test_images=images[:200],
        test_labels=labels[:200],
    )


def lines(data, study, asked, **changes):
    preflight = Preflight(RECIPE, data, SIZES, [CHEAP, DEAR], side_by_side=2)
    return replace(preflight, **changes).lines(asked, asked, planned(study))


def planned(study):
    """As much of a plan as is looked at: its study, one comparison and one rung."""
    return SimpleNamespace(study=study, comparisons=lambda: 1, rungs=lambda: [2], how=SearchOptions())


def trials(*candidates, seeds=1):
    return [replace(trial_record(c, seed), candidate=c) for c in candidates for seed in range(seeds)]


def test_the_extremes_are_measured():
    assert extremes(SIZES) == ["cheap", "dear"]
    assert extremes({"only": (1, 1)}) == ["only"]


def test_what_was_measured_is_foretold(data):
    # 900 training images at 200 a second, 100 held out and 200 test images at 400 a second.
    assert Speed.through([CHEAP, DEAR]).seconds(1000, RECIPE, data, epochs=1) == pytest.approx(4.5 + 0.25 + 0.5)
    assert Speed.through([CHEAP, DEAR]).seconds(3000, RECIPE, data, epochs=2) == pytest.approx(2 * (9 + 0.5) + 1)


def test_what_lies_between_is_foretold_by_its_flops(data):
    cheap, middle, dear = (Speed.through([CHEAP, DEAR]).seconds(n, RECIPE, data, 1) for n in (1000, 2000, 3000))
    assert middle == pytest.approx((cheap + dear) / 2)


def test_one_measured_candidate_is_enough(data):
    assert Speed.through([CHEAP]).seconds(1000, RECIPE, data, 1) == pytest.approx(5.25)


def test_the_rungs_are_those_of_the_plan(data, study):
    counts = lines(data, study, trials("cheap", "dear", seeds=2))[0]
    assert counts == "2 candidates x 2 seeds = 4 trials, 4 to train, of at most 12 epochs, rungs at 2"


def test_trials_side_by_side_share_the_time(data, study):
    # Four epochs of 4.75 s and the test; two such trials at a time.
    time = lines(data, study, trials("cheap", seeds=4))[1]
    assert "20 s the longest trial, 39 s in all with 2 at a time" in time
    assert time.startswith("100 to 200 images/s in training, alone on CPU")


def test_disk_counts_checkpoints_and_rows(data, study):
    # Three trials of 12 MB, and a second checkpoint for each of the two that run.
    assert lines(data, study, trials("middle", seeds=3))[2].startswith("60 MB of disk, ")


def test_of_an_object_store_nobody_knows_what_is_free(data, s3):
    assert lines(data, Study("s", s3), trials("middle", seeds=3))[2] == f"60 MB in {Study('s', s3).folder}"


def test_one_seed_resolves_nothing(data, study):
    assert lines(data, study, trials("cheap", "dear"))[3].startswith("one seed a candidate resolves no difference")


def test_several_seeds_resolve_what_the_t_test_does(data, study):
    line = lines(data, study, trials("cheap", "dear", seeds=5))[3]
    wanted = smallest_difference(0.5, 5)
    assert f"resolve differences of {wanted:.1f} points or more" in line
    assert "(sd 0.50 between seeds, assumed; 1 comparisons in the largest table)" in line


def test_the_noise_is_that_of_the_study_where_it_has_any(data, study):
    for seed, top1 in enumerate((90.0, 91.0, 92.0)):
        record = trial_record(seed=seed, status="done", epoch=4, top1=top1, test_top1=top1)
        study.write("trials", record.key, [record])
    assert "(sd 1.00 between seeds, measured in this study" in lines(data, study, trials("cheap", "dear", seeds=5))[3]


def test_nothing_to_train_takes_no_time(data, study):
    told = Preflight(RECIPE, data, SIZES, [CHEAP], side_by_side=2).lines(trials("cheap"), [], planned(study))
    assert re.search("0 s the longest trial, 0 s in all", told[1])


@pytest.mark.parametrize(("seconds", "text"), [(119, "119 s"), (120, "2.0 min"), (7200, "2.0 h")])
def test_durations_are_told_in_a_fitting_unit(seconds, text):
    assert _duration(seconds) == text
