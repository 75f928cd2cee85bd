"""Predicted training times, solved by hand."""

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.speed_model import SpeedModel
from trainers.cost import Cost
from trainers.data.decoding_estimate import DecodingEstimate
from trainers.data.in_memory import InMemoryDataset
from trainers.recipes import DIGITS

SMALL = Cost("CPU", 64, 100, 1000, images_per_second=400.0, train_images_per_second=200.0, peak_memory=None)
LARGE = replace(SMALL, num_params=300, flops=3000, images_per_second=200.0, train_images_per_second=100.0)
RECIPE = replace(DIGITS, val_fraction=0.1)


@pytest.fixture
def data():
    """900 images to train on, 100 to validate on, and 200 to test on."""
    images, labels = np.zeros((1000, 1, 1, 1), np.uint8), np.arange(1000) % 2
    return InMemoryDataset(
        name="none",
        classes=("a", "b"),
        train_images=images,
        train_labels=labels,
        test_images=images[:200],
        test_labels=labels[:200],
    )


def test_measured_candidates_are_predicted_exactly(data):
    model = SpeedModel.fit([SMALL, LARGE])
    # 900 images at 200 per second in training, then 100 and 200 images at 400 per second in evaluation.
    assert model.trial_seconds(1000, RECIPE, data, epochs=1) == pytest.approx(4.5 + 0.25 + 0.5)
    assert model.trial_seconds(3000, RECIPE, data, epochs=2) == pytest.approx(2 * (9 + 0.5) + 1)


def test_candidates_in_between_are_interpolated_by_flops(data):
    model = SpeedModel.fit([SMALL, LARGE])
    small, middle, large = (model.trial_seconds(flops, RECIPE, data, epochs=1) for flops in (1000, 2000, 3000))
    assert middle == pytest.approx((small + large) / 2)


def test_one_measured_candidate_is_enough(data):
    assert SpeedModel.fit([SMALL]).trial_seconds(1000, RECIPE, data, epochs=1) == pytest.approx(5.25)


def test_two_ranks_take_half_the_time(data):
    assert SpeedModel.fit([SMALL]).trial_seconds(1000, RECIPE, data, epochs=1, ranks=2) == pytest.approx(5.25 / 2)


def test_without_loader_workers_decoding_adds_to_every_image(data):
    loader = DecodingEstimate(worker_speed=100.0, workers=0)
    # All of 900 + 100 + 200 images take another 10 ms.
    seconds = SpeedModel.fit([SMALL]).trial_seconds(1000, RECIPE, data, epochs=1, loader=loader)
    assert seconds == pytest.approx(5.25 + 12)
