"""Sizes of backbones."""

import pytest

from searchspace.backbone_specs import BACKBONES


@pytest.mark.parametrize(
    ("backbone", "img_size", "sides"),
    [
        ("caformer_s18", 224, [56, 28, 14, 7]),
        ("caformer_s18", 384, [96, 48, 24, 12]),
        ("caformer_micro", 32, [16, 8, 4, 2]),
    ],
)
def test_grids(backbone, img_size, sides):
    assert BACKBONES[backbone].grids(img_size) == [(side, side) for side in sides]


def test_too_few_pixels_for_a_stem():
    with pytest.raises(ValueError, match="0 x 0 pixels are too few"):
        BACKBONES["caformer_s18"].grids(0)


def test_the_sides_of_a_rectangle_are_independent():
    assert BACKBONES["caformer_micro"].grids((32, 48)) == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_heads_divide_the_channels():
    assert BACKBONES["caformer_s18"].num_heads == [2, 4, 10, 16]
