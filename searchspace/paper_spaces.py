"""The search spaces of the paper, "Static Key Attention in Vision" (arXiv 2412.07049), and one that joins them.

PLACEMENT reproduces Table 5: a static key mixer in one stage of CAFormer. Searched are all placements of four mixers.
HEADS reproduces Figure 3: SKA and CSKA in stage 2 with different numbers of heads.
DESIGN reproduces Table 4, which switches off parts of CSKA in stage 2, and tries what the paper leaves open.
JOINT holds the published candidates of all three. Searched are placements in which stage 2 takes any switches too.
SKA_READINGS compares the two places of SKA in the paper: its text has stage 2, the class that its authors publish has
stages 3 and 4 with q = x.

CSKA has 16 channels a head in the authors' code. `h/16` gives each stage so many heads: on caformer_s18 that is 8, 20
and 32 in stages 2 to 4. On caformer_micro it is the backbone's own number, so its candidates do not name it.
"""

from __future__ import annotations

from searchspace.candidate import CAFORMER_PLACEMENT
from searchspace.spaces import Published, SearchSpace, variants

PLACEMENT = SearchSpace(
    "placement",
    choices=(
        ("dwconv", "ska", "cska.h/16", "attn"),
        ("dwconv", "ska", "cska.h/16", "attn"),
        ("dwconv", "ska", "cska.h/16", "attn"),
        ("dwconv", "ska", "cska.h/16", "attn"),
    ),
    published=(
        Published("Table 5", "no static keys", CAFORMER_PLACEMENT),
        Published("Table 5", "SKA in stage 2", "dwconv-ska-attn-attn"),
        Published("Table 5", "SKA in stage 3", "dwconv-dwconv-ska-attn"),
        Published("Table 5", "SKA in stage 4", "dwconv-dwconv-attn-ska"),
        Published("Table 5", "CSKA in stage 2", "dwconv-cska.h/16-attn-attn"),
        Published("Table 5", "CSKA in stage 3", "dwconv-dwconv-cska.h/16-attn"),
        Published("Table 5", "CSKA in stage 4", "dwconv-dwconv-attn-cska.h/16"),
    ),
)

_CSKA = "dwconv-cska.h/16-attn-attn"  # the baseline of Table 4 and of the CSKA curves in Figure 3

# "Head dim follows": the channels are divided among the heads. "Fixed": each head keeps the authors' head dim, which is
# 16 for CSKA and the backbone's own for SKA.
HEADS = SearchSpace(
    "heads",
    choices=(("dwconv",), ("cska.h*", "cska.h*.d16", "ska.h*", "ska.h*.d*"), ("attn",), ("attn",)),
    published=(
        Published("Figure 3", "CSKA, head dim follows", "dwconv-cska.h*-attn-attn", _CSKA),
        Published("Figure 3", "CSKA, head dim fixed", "dwconv-cska.h*.d16-attn-attn", _CSKA),
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
            "cska.h/16",
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
        Published("Table 4", "no scale", "dwconv-cska.h/16.noscale-attn-attn", _CSKA),
        Published("Table 4", "no softmax", "dwconv-cska.h/16.nosoftmax-attn-attn", _CSKA),
        Published("Table 4", "neither", "dwconv-cska.h/16.noscale.nosoftmax-attn-attn", _CSKA),
        # These are not rows of the paper, but what its text and its authors' code leave open.
        Published("Open points", "our defaults", _CSKA, _CSKA),
        Published("Open points", "no query projection", "dwconv-cska.h/16.noq-attn-attn", _CSKA),
        Published("Open points", "no convolution bias", "dwconv-cska.h/16.nobias-attn-attn", _CSKA),
        Published("Open points", "keys of deviation 1", "dwconv-cska.h/16.unit-attn-attn", _CSKA),
        Published("Open points", "1 x 1 kernel", "dwconv-cska.h/16.k1-attn-attn", _CSKA),
        Published("Open points", "5 x 5 kernel", "dwconv-cska.h/16.k5-attn-attn", _CSKA),
    ),
    baseline=_CSKA,
)

JOINT = SearchSpace(
    "joint",
    choices=(
        ("dwconv", "ska", "cska.h/16", "attn"),
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
                ("h*.d16",),
                ("", "noscale"),
                ("", "nosoftmax"),
                ("", "unit"),
                ("", "k1", "k5"),
                ("", "nobias"),
            ),
        ),
        ("dwconv", "ska", "cska.h/16", "attn"),
        ("dwconv", "ska", "cska.h/16", "attn"),
    ),
    published=(*PLACEMENT.published, *HEADS.published, *DESIGN.published),
)

SKA_READINGS = SearchSpace(
    "ska_readings",
    choices=(
        ("dwconv",),
        ("dwconv", "ska", "ska.noq"),
        ("attn", "ska", "ska.noq"),
        ("attn", "ska", "ska.noq"),
    ),
    published=(
        Published("Open points of SKA", "no static keys", CAFORMER_PLACEMENT),
        Published("Open points of SKA", "the text: SKA in stage 2", "dwconv-ska-attn-attn"),
        Published("Open points of SKA", "SKA in stage 2, q = x", "dwconv-ska.noq-attn-attn"),
        Published("Open points of SKA", "the class: SKA in stages 3 and 4, q = x", "dwconv-dwconv-ska.noq-ska.noq"),
        Published("Open points of SKA", "SKA in stages 3 and 4", "dwconv-dwconv-ska-ska"),
    ),
)

SPACES = {space.name: space for space in (PLACEMENT, HEADS, DESIGN, JOINT, SKA_READINGS)}
