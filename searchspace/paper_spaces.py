"""The search spaces of the paper, "Static Key Attention in Vision" (arXiv 2412.07049), and one that joins them.

PLACEMENT reproduces Table 5: a static key mixer in one stage of CAFormer. Searched are all placements of four mixers.
HEADS reproduces Figure 3: SKA and CSKA in stage 2 with different numbers of heads.
DESIGN reproduces Table 4, which switches off parts of CSKA in stage 2, and tries what the paper leaves open.
JOINT holds the published candidates of all three. Searched are placements in which stage 2 takes any switches too.
"""

from __future__ import annotations

from searchspace.candidate import CAFORMER_PLACEMENT
from searchspace.spaces import Published, SearchSpace, variants

PLACEMENT = SearchSpace(
    "placement",
    choices=(
        ("dwconv", "ska", "cska", "attn"),
        ("dwconv", "ska", "cska", "attn"),
        ("dwconv", "ska", "cska", "attn"),
        ("dwconv", "ska", "cska", "attn"),
    ),
    published=(
        Published("Table 5", "no static keys", CAFORMER_PLACEMENT),
        Published("Table 5", "SKA in stage 2", "dwconv-ska-attn-attn"),
        Published("Table 5", "SKA in stage 3", "dwconv-dwconv-ska-attn"),
        Published("Table 5", "SKA in stage 4", "dwconv-dwconv-attn-ska"),
        Published("Table 5", "CSKA in stage 2", "dwconv-cska-attn-attn"),
        Published("Table 5", "CSKA in stage 3", "dwconv-dwconv-cska-attn"),
        Published("Table 5", "CSKA in stage 4", "dwconv-dwconv-attn-cska"),
    ),
)

_CSKA = "dwconv-cska-attn-attn"  # the baseline of Table 4 and of the CSKA curves in Figure 3

# "Head dim follows": the channels are divided among the heads. "Fixed": each head keeps the backbone's head dim.
HEADS = SearchSpace(
    "heads",
    choices=(("dwconv",), ("cska.h*", "cska.h*.d*", "ska.h*", "ska.h*.d*"), ("attn",), ("attn",)),
    published=(
        Published("Figure 3", "CSKA, head dim follows", "dwconv-cska.h*-attn-attn", _CSKA),
        Published("Figure 3", "CSKA, head dim fixed", "dwconv-cska.h*.d*-attn-attn", _CSKA),
        Published("Figure 3", "SKA, head dim follows", "dwconv-ska.h*-attn-attn", "dwconv-ska-attn-attn"),
        Published("Figure 3", "SKA, head dim fixed", "dwconv-ska.h*.d*-attn-attn", "dwconv-ska-attn-attn"),
    ),
    baseline=_CSKA,
)

DESIGN = SearchSpace(
    "design",
    choices=(
        ("dwconv",),
        variants(
            "cska",
            ("", "k1", "k5"),
            ("", "nobias"),
            ("", "unit"),
            ("", "noq"),
            ("", "noscale"),
            ("", "nosoftmax"),
        ),
        ("attn",),
        ("attn",),
    ),
    published=(
        Published("Table 4", "softmax and scale", _CSKA, _CSKA),
        Published("Table 4", "no scale", "dwconv-cska.noscale-attn-attn", _CSKA),
        Published("Table 4", "no softmax", "dwconv-cska.nosoftmax-attn-attn", _CSKA),
        Published("Table 4", "neither", "dwconv-cska.noscale.nosoftmax-attn-attn", _CSKA),
        # These are not rows of the paper, but what its text and its authors' code leave open.
        Published("Open points", "our defaults", _CSKA, _CSKA),
        Published("Open points", "no query projection", "dwconv-cska.noq-attn-attn", _CSKA),
        Published("Open points", "no convolution bias", "dwconv-cska.nobias-attn-attn", _CSKA),
        Published("Open points", "keys of deviation 1", "dwconv-cska.unit-attn-attn", _CSKA),
        Published("Open points", "1 x 1 kernel", "dwconv-cska.k1-attn-attn", _CSKA),
        Published("Open points", "5 x 5 kernel", "dwconv-cska.k5-attn-attn", _CSKA),
    ),
    baseline=_CSKA,
)

JOINT = SearchSpace(
    "joint",
    choices=(
        ("dwconv", "ska", "cska", "attn"),
        (
            "dwconv",
            *variants("attn", ("h*", "h*.d*")),
            *variants("ska", ("h*",), ("", "noq"), ("", "noscale"), ("", "nosoftmax"), ("", "small")),
            # No "noq": without a query projection the heads must fill the stage's channels, and those that do with a
            # fixed head dim are the ones without it.
            *variants("ska", ("h*.d*",), ("", "noscale"), ("", "nosoftmax"), ("", "small")),
            *variants(
                "cska",
                ("h*",),
                ("", "noq"),
                ("", "noscale"),
                ("", "nosoftmax"),
                ("", "unit"),
                ("", "k1", "k5"),
                ("", "nobias"),
            ),
            *variants(
                "cska",
                ("h*.d*",),
                ("", "noscale"),
                ("", "nosoftmax"),
                ("", "unit"),
                ("", "k1", "k5"),
                ("", "nobias"),
            ),
        ),
        ("dwconv", "ska", "cska", "attn"),
        ("dwconv", "ska", "cska", "attn"),
    ),
    published=(*PLACEMENT.published, *HEADS.published, *DESIGN.published),
)

SPACES = {space.name: space for space in (PLACEMENT, HEADS, DESIGN, JOINT)}
