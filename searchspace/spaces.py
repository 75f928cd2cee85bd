"""Search spaces: named sets of candidates that can be iterated, counted, sampled and checked. No torch here.

The spaces of the paper are in paper_spaces.py; those of users are read by user_space.py.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

from searchspace.backbone_specs import BACKBONES
from searchspace.candidate import CAFORMER_PLACEMENT, NUM_STAGES, Candidate, Stage


@dataclass(frozen=True)
class Published:
    """A row of a table of the paper: the placement that reproduces it and the placement it is compared with."""

    table: str
    row: str
    placement: str
    baseline: str = CAFORMER_PLACEMENT


@dataclass(frozen=True)
class Row:
    """A published row on a backbone. `heads` is its position on the axis of a figure over head counts, or None."""

    table: str
    row: str
    heads: int | None
    candidate: Candidate
    baseline: Candidate


@dataclass(frozen=True)
class SearchSpace:
    """The published placements, followed by every combination of one choice for each stage.

    Choices and placements are spelled as in a candidate's text, where `h*` stands for each power of two that divides
    the stage's channels, `h/16` for a head for every 16 of them, and `d*` for the backbone's own head dim. Spellings of
    the same architecture count once.
    ValueError if a stage has no choice, or a choice cannot be parsed.
    """

    name: str
    choices: tuple[tuple[str, ...], ...]
    published: tuple[Published, ...] = ()
    backbone: str = "caformer_s18"
    baseline: str = CAFORMER_PLACEMENT

    def __post_init__(self) -> None:
        # Users may write lists, but a space has to be hashable.
        object.__setattr__(self, "choices", tuple(map(tuple, self.choices)))
        object.__setattr__(self, "published", tuple(self.published))
        if len(self.choices) != NUM_STAGES:
            raise ValueError(f"space {self.name!r} has choices for {len(self.choices)} stages, expected {NUM_STAGES}")
        for number, options in enumerate(self._options, 1):
            if not options:
                raise ValueError(f"space {self.name!r} has no choice for stage {number}")

    def on(self, backbone: str) -> SearchSpace:
        """The same space around another backbone."""
        return replace(self, backbone=backbone)

    def published_rows(self) -> list[Row]:
        """The rows of the paper that this space reproduces, in the order of its tables."""
        rows = []
        for published in self.published:
            baseline = self._candidate(published.baseline)
            for heads, candidate in self._expanded(published.placement):
                rows.append(Row(published.table, published.row, heads, candidate, baseline))
        return rows

    def published_candidates(self) -> list[Candidate]:
        """The candidates of the published rows, each once."""
        return list(dict.fromkeys(row.candidate for row in self.published_rows()))

    def required_candidates(self) -> list[Candidate]:
        """The published candidates and the baseline of all others, each once."""
        candidates = self.published_candidates()
        if self.baseline_candidate not in candidates:
            candidates.append(self.baseline_candidate)
        return candidates

    @property
    def baseline_candidate(self) -> Candidate:
        """The candidate that those which are not published are compared with."""
        return self._candidate(self.baseline)

    def __iter__(self) -> Iterator[Candidate]:
        published = dict.fromkeys(self.published_candidates())
        yield from published
        for stages in itertools.product(*self._options):
            candidate = Candidate(self.backbone, stages)
            if candidate not in published:
                yield candidate

    def __len__(self) -> int:
        sizes = map(len, self._options)
        number = math.prod(sizes)
        for candidate in self.published_candidates():
            if not self._is_combination(candidate):
                number += 1
        return number

    def __contains__(self, candidate: Candidate) -> bool:
        if candidate.backbone != self.backbone:
            return False
        return self._is_combination(candidate) or candidate in self.published_candidates()

    def problems(self, img_size: int) -> dict[Candidate, str]:
        """The candidates that cannot be built or are too large at `img_size` pixels, each with the reason."""
        return _problems(self, img_size)

    def sample(self, number: int, img_size: int) -> list[Candidate]:
        """`number` random candidates without problems, other than the required ones.

        They are the first of a fixed random order, so that a larger sample begins with the smaller one. ValueError if
        there are too few.
        """
        excluded = {*self.required_candidates(), *self.problems(img_size)}
        candidates = [candidate for candidate in self if candidate not in excluded]
        if number > len(candidates):
            available = len(candidates)
            raise ValueError(f"{number} trials beyond the published ones, but space {self.name!r} has {available}")
        random.Random(0).shuffle(candidates)  # noqa: S311
        return candidates[:number]

    @cached_property
    def _options(self) -> list[list[Stage]]:
        """The different choices of each stage; which are different depends on the backbone's head counts."""
        options: list[list[Stage]] = []
        for index, choices in enumerate(self.choices):
            different: dict[Stage, None] = {}
            for choice in choices:
                stages = ["dwconv"] * NUM_STAGES
                stages[index] = choice
                placement = "-".join(stages)
                for _, candidate in self._expanded(placement):
                    stage = candidate.stages[index]
                    different[stage] = None
            options.append(list(different))
        return options

    def _expanded(self, placement: str) -> list[tuple[int | None, Candidate]]:
        """The candidates that a placement with `h*` and `d*` stands for, each with the head count in place of `h*`."""
        spec = BACKBONES[self.backbone]
        placement = placement.replace("d*", f"d{spec.head_dim}")
        stages = placement.split("-")
        dims = [dim for stage, dim in zip(stages, spec.dims, strict=False) if "h*" in stage]
        if not dims:
            return [(None, self._candidate(placement))]
        if len(dims) > 1:
            raise ValueError(f"{placement!r} has h* in {len(dims)} stages, expected one")
        candidates: list[tuple[int | None, Candidate]] = []
        heads = 1
        while dims[0] % heads == 0:
            candidate = self._candidate(placement.replace("h*", f"h{heads}"))
            candidates.append((heads, candidate))
            heads *= 2
        return candidates

    def _candidate(self, placement: str) -> Candidate:
        """The candidate of a placement that has no `h*` or `d*` left."""
        stages = placement.split("-")
        dims = BACKBONES[self.backbone].dims
        if len(stages) == len(dims):
            stages = list(map(_with_head_count, stages, dims))
        return Candidate.parse("-".join((self.backbone, *stages)))

    def _is_combination(self, candidate: Candidate) -> bool:
        """Whether the candidate combines choices of the stages, as a published one need not."""
        return all(stage in options for stage, options in zip(candidate.stages, self._options, strict=True))


def _with_head_count(stage: str, dim: int) -> str:
    """The stage with its number of heads in place of `h/16`, where 16 is the number of channels for each."""

    def spell(found: re.Match[str]) -> str:
        return f"h{max(1, dim // int(found[1]))}"

    return re.sub(r"\bh/([1-9]\d*)", spell, stage)


@cache
def _problems(space: SearchSpace, img_size: int) -> dict[Candidate, str]:
    problems: dict[Candidate, str] = {}
    # The baseline need not be in the space. A candidate that occurs twice keeps its first place.
    for candidate in (*space.required_candidates(), *space):
        reason = candidate.problem() or candidate.too_large(img_size)
        if reason:
            problems[candidate] = reason
    return problems


def variants(mixer: str, *axes: tuple[str, ...]) -> tuple[str, ...]:
    """`mixer` with every combination of one switch of each axis, "" being none.

    `variants("cska", ("", "noscale"), ("", "k5"))` is cska, cska.k5, cska.noscale and cska.noscale.k5.
    """
    texts = []
    for combination in itertools.product(*axes):
        switches = filter(None, combination)
        texts.append(".".join((mixer, *switches)))
    return tuple(texts)
