"""What a checkpoint says about itself."""

from dataclasses import replace

import pytest

from tests.support.checkpoints import METADATA
from trainers.metadata import CheckpointMetadata

GRAY = CheckpointMetadata(**METADATA)


@pytest.mark.parametrize("channels", [1, 3])
def test_there_is_one_mean_per_channel(channels):
    assert replace(GRAY, mean=(0.5,) * channels, std=(0.1,) * channels).channels == channels


@pytest.mark.parametrize(("means", "stds"), [(0, 0), (2, 2), (1, 3)])
def test_other_numbers_of_channels_are_refused(means, stds):
    with pytest.raises(ValueError, match="expected 1 or 3 numbers in each"):
        replace(GRAY, mean=(0.5,) * means, std=(0.1,) * stds)


def test_the_identity_is_what_makes_a_trial():
    assert GRAY.identity == {
        "candidate": "caformer_micro-dwconv-cska-ska-attn",
        "recipe": "01234567",
        "data": "89abcdef",
        "seed": 3,
    }


def test_another_commit_is_still_the_same_trial():
    assert replace(GRAY, commit="other", torch="9.9").identity == GRAY.identity
