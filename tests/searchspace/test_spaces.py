import itertools
import re

import pytest

from searchspace.candidate import Candidate, Stage
from searchspace.spaces import HEADS, JOINT, PLACEMENT, SPACES, Published, SearchSpace, variants
from searchspace.switches import MIXERS


def test_placement_holds_every_combination_once_and_the_published_first():
    candidates = list(PLACEMENT)
    grid = {Candidate.parse("-".join(("caformer_s18", *stages))) for stages in itertools.product(MIXERS, repeat=4)}
    assert set(candidates) == grid
    assert len(candidates) == len(PLACEMENT) == 256
    assert candidates[:7] == PLACEMENT.published_candidates()


def test_decoding_reaches_every_candidate_of_the_grid():
    decoded = {PLACEMENT.decode(choice) for choice in itertools.product(range(4), repeat=4)}
    assert decoded == set(PLACEMENT)


@pytest.mark.parametrize("choice", [(0, 0, 0), (0, 0, 0, 4), (0, 0, 0, -1)])
def test_decoding_refuses_what_is_out_of_range(choice):
    with pytest.raises(ValueError, match="expected one index below each of"):
        PLACEMENT.decode(choice)


def test_spellings_of_one_architecture_count_once():
    # On S18 stage 2 has four heads of its own; dwconv has none.
    heads = SearchSpace("heads", (("dwconv",), ("ska", "ska.h4", "ska.h8"), ("dwconv", "dwconv.h2"), ("attn",)))
    assert len(heads) == len(list(heads)) == 2


def test_published_candidates_outside_the_grid_count_too():
    ska = Published("Table 5", "SKA in stage 2", "dwconv-ska-attn-attn")
    space = SearchSpace("s", (("dwconv",), ("dwconv",), ("attn",), ("attn",)), published=(ska,))
    assert len(space) == len(list(space)) == 2
    assert all(candidate in space for candidate in space)


def test_membership_knows_the_backbone():
    candidate = Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn")
    assert candidate not in PLACEMENT
    assert candidate in PLACEMENT.on("caformer_micro")


def test_unbuildable_candidates_are_named():
    problems = PLACEMENT.problems(224)
    assert {candidate.stages[0].mixer for candidate in problems} == {"cska"}
    assert len(problems) == 64


def test_a_sample_is_buildable_new_and_grows():
    first, more = PLACEMENT.sample(8, 224), PLACEMENT.sample(20, 224)
    assert more[:8] == first
    assert len(set(more)) == 20
    assert not set(more) & (set(PLACEMENT.published_candidates()) | set(PLACEMENT.problems(224)))


def test_a_sample_larger_than_the_space_is_refused():
    with pytest.raises(ValueError, match="250 trials beyond the published ones, but space 'placement' has 249"):
        PLACEMENT.on("caformer_micro").sample(250, 32)


def test_a_space_needs_four_stages():
    with pytest.raises(ValueError, match="choices for 1 stages, expected 4"):
        SearchSpace("s", (("ska",),))


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


def test_a_space_may_be_written_with_lists():
    space = SearchSpace("s", [["dwconv"], ["dwconv", "cska"], ["attn"], ["attn"]], published=[])
    assert len(space) == 2
    assert space.problems(224) == {}


def test_a_baseline_outside_the_space_is_checked_too():
    space = SearchSpace("s", (("dwconv",), ("ska",), ("attn",), ("attn",)), baseline="dwconv-cska.h3-attn-attn")
    assert list(space.problems(224)) == [space.baseline_candidate]


def test_a_published_row_varies_one_stage():
    row = Published("T", "r", "dwconv-cska.h*-cska.h*-attn")
    with pytest.raises(ValueError, match=r"has h\* in 2 stages, expected one"):
        SearchSpace("s", (("dwconv",), ("ska",), ("attn",), ("attn",)), published=(row,)).published_rows()


def test_variants_are_all_combinations():
    assert variants("ska", ("", "noq"), ("", "h2")) == ("ska", "ska.h2", "ska.noq", "ska.noq.h2")


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
