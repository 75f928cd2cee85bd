"""Candidates as rows of numbers."""

import pytest

from searchspace.candidate import Candidate
from searchspace.encoding import encode
from searchspace.paper_spaces import SPACES


def rows(*placements):
    """The rows of CAFormer-micro candidates, whose stage 2 has two heads of its own."""
    return encode([Candidate.parse(f"caformer_micro-{placement}") for placement in placements])


def test_a_choice_of_mixers_is_one_unordered_axis_a_stage():
    assert encode(list(SPACES["placement"]))[1] == (False,) * 4


def test_heads_that_follow_from_the_mixer_are_no_axis():
    assert rows("dwconv-ska-attn-attn", "dwconv-cska.h8-attn-attn", "dwconv-attn.h4-attn-attn") == (
        [(2,), (1,), (0,)],
        (False,),
    )


def test_head_counts_are_in_an_order():
    assert any(encode(list(SPACES["heads"]))[1])
    assert rows("dwconv-cska.h4-attn-attn", "dwconv-cska.h1-attn-attn", "dwconv-cska.h16-attn-attn") == (
        [(1,), (0,), (2,)],
        (True,),
    )


@pytest.mark.parametrize("name", sorted(SPACES.keys() - {"joint"}))
def test_no_two_candidates_share_a_row(name):
    levels, ordered = encode(list(SPACES[name]))
    assert len(set(levels)) == len(SPACES[name])
    assert {len(row) for row in levels} == {len(ordered)}


def test_a_mixer_without_heads_is_encoded_with_the_backbones():
    one_head, two_heads, no_heads = rows("dwconv-ska.h1-attn-attn", "dwconv-ska-attn-attn", "dwconv-dwconv-attn-attn")[
        0
    ]
    axis = 1  # the first is the mixer
    assert no_heads[axis] == two_heads[axis] > one_head[axis]


def test_switches_are_axes_of_their_own():
    placements = ["dwconv-cska-attn-attn", "dwconv-cska.noscale-attn-attn", "dwconv-cska.k5-attn-attn"]
    assert rows(*placements) == ([(0, 1), (0, 0), (1, 1)], (True, False))  # the kernel, and whether there is a scale


def test_no_candidates_have_no_axes():
    assert encode([]) == ([], ())
