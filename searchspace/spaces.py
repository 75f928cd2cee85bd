"""Search spaces: named sets of candidates that iterate, count and decode themselves. No torch here."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from searchspace.candidate import BACKBONES, CAFORMER_PLACEMENT, NUM_STAGES, Candidate, Stage


@dataclass(frozen=True)
class Published:
    """A row of the paper: the placement that reproduces it, and the one that it is compared with."""

    table: str
    row: str
    placement: str
    baseline: str = CAFORMER_PLACEMENT


@dataclass(frozen=True)
class Row:
    """A published row on a backbone; `heads` is its place on the axis of a figure over head counts, else None."""

    table: str
    row: str
    heads: int | None
    candidate: Candidate
    baseline: Candidate


@dataclass(frozen=True)
class SearchSpace:
    """Every combination of the `choices` of each stage, and first of all the `published` placements.

    Choices and placements are spelled as in a candidate's text, where `h*` stands for every power of two that divides
    the stage's channels and `d*` for the backbone's own head dim. Spellings of one architecture count once.
    """

    name: str
    choices: tuple[tuple[str, ...], ...]
    published: tuple[Published, ...] = ()
    backbone: str = "caformer_s18"
    baseline: str = CAFORMER_PLACEMENT

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(map(tuple, self.choices)))
        object.__setattr__(self, "published", tuple(self.published))
        if len(self.choices) != NUM_STAGES:
            raise ValueError(f"space {self.name!r} has choices for {len(self.choices)} stages, expected {NUM_STAGES}")
        for number, stage in enumerate(self._options, 1):
            if not stage:
                raise ValueError(f"space {self.name!r} has no choice for stage {number}")

    def on(self, backbone: str) -> SearchSpace:
        """The same space around another backbone."""
        return replace(self, backbone=backbone)

    def published_rows(self) -> list[Row]:
        """The rows of the paper that this space reproduces, in its order."""
        return [
            Row(published.table, published.row, heads, candidate, self._candidate(published.baseline))
            for published in self.published
            for heads, candidate in self._expanded(published.placement)
        ]

    def published_candidates(self) -> list[Candidate]:
        """The candidates of the published rows, each once."""
        return list(dict.fromkeys(row.candidate for row in self.published_rows()))

    def required_candidates(self) -> list[Candidate]:
        """The published candidates, and what the others are compared with: each once."""
        return list(dict.fromkeys([*self.published_candidates(), self.baseline_candidate]))

    @property
    def baseline_candidate(self) -> Candidate:
        """What a candidate that is not published is compared with."""
        return self._candidate(self.baseline)

    def decode(self, choice: Sequence[int]) -> Candidate:
        """The candidate at one index per stage; ValueError if an index is out of range."""
        options = self._options
        sizes = [len(stage) for stage in options]
        if len(choice) != len(sizes) or not all(0 <= i < n for i, n in zip(choice, sizes, strict=True)):
            raise ValueError(f"choice {tuple(choice)} of space {self.name!r}, expected one index below each of {sizes}")
        return Candidate(self.backbone, tuple(stage[i] for stage, i in zip(options, choice, strict=True)))

    def __iter__(self) -> Iterator[Candidate]:
        published = self.published_candidates()
        yield from published
        seen = set(published)
        for stages in itertools.product(*self._options):
            if (candidate := Candidate(self.backbone, stages)) not in seen:
                yield candidate

    def __len__(self) -> int:
        outside = sum(not self._in_grid(candidate) for candidate in self.published_candidates())
        return math.prod(map(len, self._options)) + outside

    def __contains__(self, candidate: Candidate) -> bool:
        same_backbone = candidate.backbone == self.backbone
        return same_backbone and (self._in_grid(candidate) or candidate in self.published_candidates())

    def problems(self, img_size: int) -> dict[Candidate, str]:
        """The candidates that are not worth launching at `img_size` pixels, each with its reason."""
        return _problems(self, img_size)

    def sample(self, number: int, img_size: int, seed: int = 0) -> list[Candidate]:
        """The first `number` buildable candidates beyond the required ones, in a random order that `seed` fixes."""
        known = set(self.required_candidates()) | set(self.problems(img_size))
        rest = [candidate for candidate in self if candidate not in known]
        if number > len(rest):
            raise ValueError(f"{number} trials beyond the published ones, but space {self.name!r} has {len(rest)}")
        random.Random(seed).shuffle(rest)  # noqa: S311
        return rest[:number]

    @cached_property
    def _options(self) -> list[list[Stage]]:
        """The choices of each stage, each architecture once: canonical form depends on the backbone's head counts."""
        options: list[list[Stage]] = []
        for index, choices in enumerate(self.choices):
            plain = ["dwconv"] * NUM_STAGES
            texts = ("-".join((*plain[:index], choice, *plain[index + 1 :])) for choice in choices)
            canonical = [candidate.stages[index] for text in texts for _, candidate in self._expanded(text)]
            options.append(list(dict.fromkeys(canonical)))
        return options

    def _expanded(self, placement: str) -> Iterator[tuple[int | None, Candidate]]:
        """The candidates that a placement with `h*` and `d*` stands for, each with what replaced `h*`."""
        spec = BACKBONES[self.backbone]
        placement = placement.replace("d*", f"d{spec.head_dim}")
        varied = [dim for stage, dim in zip(placement.split("-"), spec.dims, strict=False) if "h*" in stage]
        if not varied:
            yield None, self._candidate(placement)
            return
        if len(varied) > 1:
            raise ValueError(f"{placement!r} has h* in {len(varied)} stages, expected one")
        for heads in (2**n for n in range(varied[0].bit_length()) if varied[0] % 2**n == 0):
            yield heads, self._candidate(placement.replace("h*", f"h{heads}"))

    def _candidate(self, placement: str) -> Candidate:
        return Candidate.parse(f"{self.backbone}-{placement}")

    def _in_grid(self, candidate: Candidate) -> bool:
        return all(stage in options for stage, options in zip(candidate.stages, self._options, strict=True))


@cache
def _problems(space: SearchSpace, img_size: int) -> dict[Candidate, str]:
    candidates = dict.fromkeys([*space.required_candidates(), *space])
    found = ((candidate, candidate.problem() or candidate.too_large(img_size)) for candidate in candidates)
    return {candidate: reason for candidate, reason in found if reason}


def variants(mixer: str, *axes: tuple[str, ...]) -> tuple[str, ...]:
    """`mixer` with each combination of one switch of each axis, where "" is none: `("", "noscale"), ("", "k5")`."""
    return tuple(".".join(filter(None, (mixer, *switches))) for switches in itertools.product(*axes))


PLACEMENT = SearchSpace(
    "placement",
    choices=(("dwconv", "ska", "cska", "attn"),) * 4,
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

_CSKA, _SKA = "dwconv-cska-attn-attn", "dwconv-ska-attn-attn"  # what Figure 3 and Table 4 vary
HEADS = SearchSpace(
    "heads",
    choices=(("dwconv",), ("cska.h*", "cska.h*.d*", "ska.h*", "ska.h*.d*"), ("attn",), ("attn",)),
    published=(
        Published("Figure 3", "CSKA, head dim follows", "dwconv-cska.h*-attn-attn", _CSKA),
        Published("Figure 3", "CSKA, head dim fixed", "dwconv-cska.h*.d*-attn-attn", _CSKA),
        Published("Figure 3", "SKA, head dim follows", "dwconv-ska.h*-attn-attn", _SKA),
        Published("Figure 3", "SKA, head dim fixed", "dwconv-ska.h*.d*-attn-attn", _SKA),
    ),
    baseline=_CSKA,
)

_SWITCHES = (("", "noq"), ("", "noscale"), ("", "nosoftmax"))
_CONVOLUTION = (("", "k1", "k5"), ("", "nobias"))
DESIGN = SearchSpace(
    "design",
    choices=(("dwconv",), variants("cska", *_CONVOLUTION, ("", "unit"), *_SWITCHES), ("attn",), ("attn",)),
    published=(
        Published("Table 4", "softmax and scale", _CSKA, _CSKA),
        Published("Table 4", "no scale", "dwconv-cska.noscale-attn-attn", _CSKA),
        Published("Table 4", "no softmax", "dwconv-cska.nosoftmax-attn-attn", _CSKA),
        Published("Table 4", "neither", "dwconv-cska.noscale.nosoftmax-attn-attn", _CSKA),
        # Not rows of the paper, but what its text and its authors' code leave open.
        Published("Open points", "our defaults", _CSKA, _CSKA),
        Published("Open points", "no query projection", "dwconv-cska.noq-attn-attn", _CSKA),
        Published("Open points", "no convolution bias", "dwconv-cska.nobias-attn-attn", _CSKA),
        Published("Open points", "keys of deviation 1", "dwconv-cska.unit-attn-attn", _CSKA),
        Published("Open points", "1 x 1 kernel", "dwconv-cska.k1-attn-attn", _CSKA),
        Published("Open points", "5 x 5 kernel", "dwconv-cska.k5-attn-attn", _CSKA),
    ),
    baseline=_CSKA,
)

# q = x needs an inner width of the stage's own channels, so that axis ends where the head dim is fixed.
_FOLLOWS, _FIXED = (("h*",), *_SWITCHES), (("h*.d*",), *_SWITCHES[1:])
JOINT = SearchSpace(
    "joint",
    choices=(
        PLACEMENT.choices[0],
        (
            "dwconv",
            *variants("attn", ("h*", "h*.d*")),
            *(text for axes in (_FOLLOWS, _FIXED) for text in variants("ska", *axes, ("", "small"))),
            *(text for axes in (_FOLLOWS, _FIXED) for text in variants("cska", *axes, ("", "unit"), *_CONVOLUTION)),
        ),
        PLACEMENT.choices[2],
        PLACEMENT.choices[3],
    ),
    published=(*PLACEMENT.published, *HEADS.published, *DESIGN.published),
)

SPACES = {space.name: space for space in (PLACEMENT, HEADS, DESIGN, JOINT)}
