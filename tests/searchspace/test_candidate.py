"""Candidates and their text."""

import pytest

from searchspace.candidate import Candidate, Stage

BASE = "caformer_s18-dwconv-dwconv-attn-attn"


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        "caformer_s18-dwconv-cska.h8.nosoftmax-attn-attn",
        "caformer_micro-ska.h4.noscale.nosoftmax-ska-attn.h2-cska",
    ],
)
def test_text_parses_back(text):
    assert str(Candidate.parse(text)) == text


@pytest.mark.parametrize(
    "spelling",
    [
        "caformer_s18-dwconv.h8-dwconv-attn-attn",
        "caformer_s18-dwconv.nosoftmax-dwconv.noscale-attn-attn",
        "caformer_s18-dwconv-dwconv-attn.noscale-attn.nosoftmax",
        "caformer_s18-dwconv-dwconv-attn.h10-attn.h16",
    ],
)
def test_spellings_of_one_architecture_are_one_candidate(spelling):
    assert {Candidate.parse(spelling), Candidate.parse(BASE)} == {Candidate.parse(BASE)}


def test_switches_that_matter_make_another_candidate():
    texts = ["ska", "ska.h8", "ska.noscale", "ska.nosoftmax", "cska"]
    assert len({Candidate.parse(f"caformer_s18-dwconv-{text}-attn-attn") for text in texts}) == 5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("caformer_s18-dwconv-conv-attn-attn", "unknown token mixer 'conv', expected one of dwconv, ska, cska, attn"),
        ("resnet-dwconv-dwconv-attn-attn", "unknown backbone 'resnet', expected one of caformer_s18"),
        ("caformer_s18-dwconv-attn", "has 2 stages, expected <backbone>"),
        ("caformer_s18-dwconv-ska.h0-attn-attn", "unknown switch 'h0' in 'ska.h0'"),
        ("caformer_s18-dwconv-ska.fast-attn-attn", "unknown switch 'fast' in 'ska.fast'"),
        ("caformer_s18-dwconv-ska.h4.h8-attn-attn", "'ska.h4.h8' says something twice"),
        ("caformer_s18-dwconv-ska.x8.h8-attn-attn", "unknown switch 'x8' in 'ska.x8.h8'"),
        ("caformer_s18-dwconv-ska.noscale.noscale-attn-attn", "'ska.noscale.noscale' says something twice"),
    ],
)
def test_wrong_text_says_what_was_found_and_what_was_wanted(text, wanted):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        Candidate.parse(text)
    assert wanted in str(error.value)


def test_a_stage_without_a_head_is_refused():
    with pytest.raises(ValueError, match="0 heads, expected 1 or more"):
        Stage("ska", 0)


def test_heads_that_do_not_divide_are_named():
    candidate = Candidate.parse("caformer_micro-dwconv-cska.h7-attn-attn")
    assert candidate.problem() == f"{candidate}: stage 2: 32 channels do not divide into 7 heads"


def test_heads_of_dwconv_need_not_divide():
    assert Candidate.parse("caformer_micro-dwconv.h7-dwconv-attn-attn").problem() is None


@pytest.mark.parametrize(("img_size", "too_large"), [(224, True), (160, False)])
def test_a_cska_map_is_bounded(img_size, too_large):
    # Stage 1 of S18 has two heads and a 56 x 56 grid at 224 px: 2 * 3136^2 * 4 bytes = 75 MiB.
    problem = Candidate.parse("caformer_s18-cska-dwconv-attn-attn").too_large(img_size)
    assert bool(problem) == too_large


def test_without_softmax_there_is_no_map_to_bound():
    assert Candidate.parse("caformer_s18-cska.nosoftmax-dwconv-attn-attn").too_large(224) is None
