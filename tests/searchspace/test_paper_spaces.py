"""The spaces of the paper: what they hold, and how many."""

import itertools
import re

import pytest

from searchspace.candidate import CAFORMER_PLACEMENT, Candidate, Stage
from searchspace.paper_spaces import DESIGN, HEADS, JOINT, PLACEMENT, SPACES
from searchspace.switches import MIXERS


@pytest.mark.parametrize(
    ("space", "on_s18", "on_micro"),
    [(PLACEMENT, 256, 256), (HEADS, 30, 22), (DESIGN, 96, 96), (JOINT, 83_456, 61_696)],
    ids=lambda value: getattr(value, "name", None),
)
def test_sizes(space, on_s18, on_micro):
    assert len(space) == on_s18
    assert len(space.on("caformer_micro")) == on_micro


def test_spaces_are_found_by_their_names():
    assert {name: space.name for name, space in SPACES.items()} == {name: name for name in SPACES}


def test_the_placement_space_starts_from_caformer():
    assert PLACEMENT.published_candidates()[0].placement == CAFORMER_PLACEMENT


def test_placement_holds_every_combination_once_and_the_published_first():
    candidates = list(PLACEMENT)
    grid = {Candidate.parse("-".join(("caformer_s18", *stages))) for stages in itertools.product(MIXERS, repeat=4)}
    assert set(candidates) == grid
    assert len(candidates) == len(PLACEMENT) == 256
    assert candidates[:7] == PLACEMENT.published_candidates()


def test_heads_are_the_powers_of_two_that_divide_the_channels():
    # Stage 2 of S18 has 128 channels, of micro 32.
    rows = [row for row in HEADS.published_rows() if row.row == "CSKA, head dim follows"]
    assert [row.heads for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert len(HEADS.on("caformer_micro").published_rows()) == 4 * 6


def test_a_fixed_head_dim_is_the_backbones():
    rows = [row for row in HEADS.published_rows() if row.row == "SKA, head dim fixed"]
    assert {row.candidate.head_dims[1] for row in rows} == {32}


@pytest.mark.parametrize("name", SPACES)
def test_every_published_row_is_in_its_space_and_has_a_baseline_there(name):
    space = SPACES[name]
    assert all(
        row.candidate in space and row.baseline in space.published_candidates() for row in space.published_rows()
    )


def test_the_joint_space_is_all_raw_combinations_that_can_be_built():
    # Axes raw and unconditional, for every mixer, also where it has no use for them: canonical form must merge them.
    heads, flags = (
        ["", *(f"h{2**n}" for n in range(6))],
        itertools.product(*(("", f) for f in ("noq", "nobias", "noscale", "nosoftmax"))),
    )
    raw = itertools.product(MIXERS, heads, ["", "d16"], ["", "k1", "k5"], ["", "unit", "small"], map(".".join, flags))
    second = set()
    for mixer, *switches in raw:
        text = re.sub(r"\.+", ".", ".".join([mixer, *switches])).strip(".")
        candidate = Candidate.parse(f"caformer_micro-dwconv-{text}-attn-attn")
        if candidate.problem() is None:
            second.add(candidate.stages[1])
    expected = {
        Candidate("caformer_micro", (a, b, c, d))
        for b in second
        for a, c, d in itertools.product(map(Stage, MIXERS), repeat=3)
    }
    space = JOINT.on("caformer_micro")
    enumerated = list(space)
    assert len(enumerated) == len(set(enumerated)) == len(space) == 61_696
    assert set(enumerated) == expected
