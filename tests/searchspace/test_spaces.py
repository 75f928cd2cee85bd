"""What every search space does."""

import pytest

from searchspace.candidate import Candidate
from searchspace.paper_spaces import PLACEMENT
from searchspace.spaces import Published, SearchSpace, variants


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


def test_a_stage_needs_a_choice():
    with pytest.raises(ValueError, match="space 's' has no choice for stage 2"):
        SearchSpace("s", (("ska",), (), ("attn",), ("attn",)))


def test_a_choice_with_a_star_is_one_for_each_power_of_two():
    # Stage 1 of micro has 16 channels and one head of its own.
    space = SearchSpace("s", (("ska.h*",), ("ska",), ("attn",), ("attn",)), backbone="caformer_micro")
    assert sorted({str(candidate.stages[0]) for candidate in space}) == ["ska", "ska.h16", "ska.h2", "ska.h4", "ska.h8"]


def test_channels_per_head_give_each_stage_its_number_of_heads():
    space = SearchSpace("s", (("cska.h/16",), ("cska.k5.h/16",), ("cska.h/32",), ("cska.h/1000",)))
    assert [str(candidate) for candidate in space] == ["caformer_s18-cska.h4-cska.h8.k5-cska-cska.h1"]


def test_no_channels_per_head_is_an_unknown_switch():
    with pytest.raises(ValueError, match="unknown switch 'h/0'"):
        SearchSpace("s", (("cska.h/0",), ("attn",), ("attn",), ("attn",)))
