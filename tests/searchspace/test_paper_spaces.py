"""The spaces of the paper: what they hold, and how many."""

import itertools

import pytest

from searchspace.candidate import CAFORMER_PLACEMENT, Candidate, Stage
from searchspace.paper_spaces import DESIGN, HEADS, JOINT, PLACEMENT, SKA_READINGS, SPACES
from searchspace.switches import MIXERS


@pytest.mark.parametrize(
    ("space", "on_s18", "on_micro"),
    [(PLACEMENT, 256, 256), (HEADS, 30, 22), (DESIGN, 96, 96), (JOINT, 83_456, 61_696), (SKA_READINGS, 27, 27)],
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
    heads = (4, 8, 20, 32)  # of 16 channels each
    grid = set()
    for mixers in itertools.product(MIXERS, repeat=4):
        stages = [mixer.replace("cska", f"cska.h{number}") for mixer, number in zip(mixers, heads, strict=True)]
        grid.add(Candidate.parse("-".join(("caformer_s18", *stages))))
    assert set(candidates) == grid
    assert len(candidates) == len(PLACEMENT) == 256
    assert candidates[:7] == PLACEMENT.published_candidates()


def test_heads_are_the_powers_of_two_that_divide_the_channels():
    # Stage 2 of S18 has 128 channels, of micro 32.
    rows = [row for row in HEADS.published_rows() if row.row == "CSKA, head dim follows"]
    assert [row.heads for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert len(HEADS.on("caformer_micro").published_rows()) == 4 * 6


@pytest.mark.parametrize(("mixer", "head_dim"), [("SKA", 32), ("CSKA", 16)])
def test_a_fixed_head_dim_is_the_authors(mixer, head_dim):
    rows = [row for row in HEADS.published_rows() if row.row == f"{mixer}, head dim fixed"]
    assert {row.candidate.head_dims[1] for row in rows} == {head_dim}


@pytest.mark.parametrize("backbone", ["caformer_s18", "caformer_b36", "caformer_micro"])
def test_published_cska_has_16_channels_a_head_in_every_stage(backbone):
    found = set()
    for candidate in (*PLACEMENT.on(backbone).published_candidates(), *DESIGN.on(backbone).published_candidates()):
        for stage, head_dim in zip(candidate.stages, candidate.head_dims, strict=True):
            if stage.mixer == "cska":
                found.add(head_dim)
    assert found == {16}


def test_on_micro_the_authors_heads_are_the_backbones():
    """The recorded studies were run before published rows named their heads."""
    placements = [candidate.placement for candidate in PLACEMENT.on("caformer_micro").published_candidates()]
    assert placements[4:] == ["dwconv-cska-attn-attn", "dwconv-dwconv-cska-attn", "dwconv-dwconv-attn-cska"]


def test_both_places_of_ska_are_offered():
    placements = [candidate.placement for candidate in SKA_READINGS.published_candidates()]
    assert "dwconv-ska-attn-attn" in placements
    assert "dwconv-dwconv-ska.noq-ska.noq" in placements


@pytest.mark.parametrize("name", SPACES)
def test_every_published_row_is_in_its_space_and_has_a_baseline_there(name):
    space = SPACES[name]
    assert all(
        row.candidate in space and row.baseline in space.published_candidates() for row in space.published_rows()
    )


def test_the_joint_space_is_all_raw_combinations_that_can_be_built():
    # Every switch is given to every mixer, also to those that do not have it: canonical form must merge them.
    switches = itertools.product(
        ["", "h1", "h2", "h4", "h8", "h16", "h32"],
        ["", "d16"],
        ["", "k1", "k5"],
        ["", "unit", "small"],
        ["", "noq"],
        ["", "nobias"],
        ["", "noscale"],
        ["", "nosoftmax"],
    )
    suffixes = [".".join(filter(None, combination)) for combination in switches]
    stage_2 = set()
    for mixer, suffix in itertools.product(MIXERS, suffixes):
        text = f"{mixer}.{suffix}".removesuffix(".")
        candidate = Candidate.parse(f"caformer_micro-dwconv-{text}-attn-attn")
        if candidate.problem() is None:
            stage_2.add(candidate.stages[1])
    others = set(map(Stage, MIXERS))

    candidates = list(JOINT.on("caformer_micro"))
    # As many different candidates as there are combinations, and nothing else: these are all of them.
    assert len(set(candidates)) == len(candidates) == len(stage_2) * len(others) ** 3 == 61_696
    for candidate in candidates:
        first, second, third, fourth = candidate.stages
        assert second in stage_2
        assert {first, third, fourth} <= others
