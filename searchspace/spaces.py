"""Search spaces: named sets of candidates that iterate, count and decode themselves. No torch here."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from searchspace.candidate import NUM_STAGES, Candidate, Stage


@dataclass(frozen=True)
class SearchSpace:
    """Every combination of the `choices` of each stage, and first of all the `published` placements.

    Choices and published rows are spelled as in a candidate's text; spellings of one architecture count once.
    """

    name: str
    choices: tuple[tuple[str, ...], ...]
    published: tuple[str, ...] = ()
    backbone: str = "caformer_s18"

    def __post_init__(self) -> None:
        if len(self.choices) != NUM_STAGES:
            raise ValueError(f"space {self.name!r} has choices for {len(self.choices)} stages, expected {NUM_STAGES}")
        for number, stage in enumerate(self._options(), 1):
            if not stage:
                raise ValueError(f"space {self.name!r} has no choice for stage {number}")

    def on(self, backbone: str) -> SearchSpace:
        """The same space around another backbone."""
        return replace(self, backbone=backbone)

    def published_candidates(self) -> list[Candidate]:
        """The candidates that the paper prints, in its order, each once."""
        parsed = (Candidate.parse(f"{self.backbone}-{placement}") for placement in self.published)
        return list(dict.fromkeys(parsed))

    def decode(self, choice: Sequence[int]) -> Candidate:
        """The candidate at one index per stage; ValueError if an index is out of range."""
        options = self._options()
        sizes = [len(stage) for stage in options]
        if len(choice) != len(sizes) or not all(0 <= i < n for i, n in zip(choice, sizes, strict=True)):
            raise ValueError(f"choice {tuple(choice)} of space {self.name!r}, expected one index below each of {sizes}")
        return Candidate(self.backbone, tuple(stage[i] for stage, i in zip(options, choice, strict=True)))

    def __iter__(self) -> Iterator[Candidate]:
        published = self.published_candidates()
        yield from published
        seen = set(published)
        for stages in itertools.product(*self._options()):
            if (candidate := Candidate(self.backbone, stages)) not in seen:
                yield candidate

    def __len__(self) -> int:
        outside = sum(not self._in_grid(candidate) for candidate in self.published_candidates())
        return math.prod(map(len, self._options())) + outside

    def __contains__(self, candidate: Candidate) -> bool:
        same_backbone = candidate.backbone == self.backbone
        return same_backbone and (self._in_grid(candidate) or candidate in self.published_candidates())

    def problems(self, img_size: int) -> dict[Candidate, str]:
        """The candidates that are not worth launching at `img_size` pixels, each with its reason."""
        found = ((candidate, candidate.problem() or candidate.too_large(img_size)) for candidate in self)
        return {candidate: reason for candidate, reason in found if reason}

    def sample(self, number: int, img_size: int, seed: int = 0) -> list[Candidate]:
        """The first `number` buildable candidates beyond the published ones, in a random order that `seed` fixes."""
        known = set(self.published_candidates()) | set(self.problems(img_size))
        rest = [candidate for candidate in self if candidate not in known]
        if number > len(rest):
            raise ValueError(f"{number} trials beyond the published ones, but space {self.name!r} has {len(rest)}")
        random.Random(seed).shuffle(rest)  # noqa: S311
        return rest[:number]

    def _options(self) -> list[list[Stage]]:
        """The choices of each stage, each architecture once: canonical form depends on the backbone's head counts."""
        options: list[list[Stage]] = []
        for index, choices in enumerate(self.choices):
            canonical = [self._canonical(index, Stage.parse(text)) for text in choices]
            options.append(list(dict.fromkeys(canonical)))
        return options

    def _canonical(self, index: int, stage: Stage) -> Stage:
        others = [Stage("dwconv")] * NUM_STAGES
        others[index] = stage
        return Candidate(self.backbone, tuple(others)).stages[index]

    def _in_grid(self, candidate: Candidate) -> bool:
        return all(stage in options for stage, options in zip(candidate.stages, self._options(), strict=True))


PLACEMENT = SearchSpace(
    "placement",
    choices=(("dwconv", "ska", "cska", "attn"),) * 4,
    published=(  # Table 5, in its order
        "dwconv-dwconv-attn-attn",
        "dwconv-ska-attn-attn",
        "dwconv-dwconv-ska-attn",
        "dwconv-dwconv-attn-ska",
        "dwconv-cska-attn-attn",
        "dwconv-dwconv-cska-attn",
        "dwconv-dwconv-attn-cska",
    ),
)

SPACES = {space.name: space for space in (PLACEMENT,)}
