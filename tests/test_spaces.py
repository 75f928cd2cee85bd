import itertools

import pytest

from searchspace.candidate import MIXERS, Candidate
from searchspace.spaces import PLACEMENT, SearchSpace


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
    space = SearchSpace("s", (("dwconv",), ("dwconv",), ("attn",), ("attn",)), published=("dwconv-ska-attn-attn",))
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
