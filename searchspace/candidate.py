"""An architecture as text and as data: `caformer_s18-dwconv-cska.h8.nosoftmax-attn-attn`. No torch here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

NUM_STAGES = 4
CSKA_MAP_LIMIT = 64 * 2**20  # bytes of one layer's fp32 attention map, per image

# Which switches each token mixer has; searchspace.mixers.register_mixer adds others.
_STATIC_KEY = {"num_heads", "head_dim", "key_init", "query", "scale", "softmax"}
MIXERS: dict[str, set[str]] = {
    "dwconv": set(),
    "ska": _STATIC_KEY,
    "cska": _STATIC_KEY | {"kernel_size", "bias"},
    "attn": {"num_heads", "head_dim"},
}
_NUMBERS = {"num_heads": "h", "head_dim": "d", "kernel_size": "k"}  # spelled as a letter and a number
_NUMBER = re.compile(r"[hd][1-9]\d{0,3}|k[13579]")
_WORDS: dict[str, tuple[str, str | bool]] = {
    "unit": ("key_init", "unit"),
    "small": ("key_init", "small"),
    "noq": ("query", False),
    "nobias": ("bias", False),
    "noscale": ("scale", False),
    "nosoftmax": ("softmax", False),
}
_EXPECTED = "h<heads>, d<head dim>, k<odd kernel size>, " + ", ".join(_WORDS)
_OWN: dict[str, dict[str, Any]] = {
    "kernel_size": {"cska": 3},
    "key_init": {"ska": "unit", "cska": "small"},
}  # what a mixer does unasked


@dataclass(frozen=True)
class Backbone:
    """The frame around the token mixers: widths, depths and stem of a MetaFormer (arXiv 2210.13452, table 1)."""

    name: str
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    head_dim: int = 32
    stem: tuple[int, int, int] = (7, 4, 2)  # kernel, stride, padding

    def grids(self, img_size: int | tuple[int, int]) -> list[tuple[int, int]]:
        """Token grid (height, width) of each stage for an image of `img_size` pixels (a side, or height and width)."""
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        kernel, stride, padding = self.stem
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in (height, width)]
        grids = []
        for _ in self.dims:
            grids.append((sides[0], sides[1]))
            sides = [(side + 1) // 2 for side in sides]
        if min(grids[0]) < 1:
            raise ValueError(f"{height} x {width} pixels are too few for the stem of {self.name}")
        return grids


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone("caformer_s18", depths=(3, 3, 9, 3), dims=(64, 128, 320, 512)),
        Backbone("caformer_b36", depths=(3, 12, 18, 3), dims=(128, 256, 512, 768)),
        # 32 px images: a stem of stride 2 leaves 16, 8, 4 and 2 tokens a side.
        Backbone("caformer_micro", (1, 1, 2, 1), (16, 32, 64, 96), head_dim=16, stem=(3, 2, 1)),
    )
}


@dataclass(frozen=True)
class Stage:
    """The token mixer of one stage and its switches. What a mixer does not have, or does unasked, is dropped.

    `num_heads=None` is the backbone's own count and `head_dim=None` channels / heads; otherwise the mixer's inner width
    is their product. `key_init` is the keys' deviation: "unit" 1, "small" .02. `query=False` leaves q = x.
    """

    mixer: str
    num_heads: int | None = None
    head_dim: int | None = None
    kernel_size: int | None = None  # of CSKA's convolution
    key_init: str | None = None
    query: bool = True
    bias: bool = True  # of CSKA's convolution
    scale: bool = True
    softmax: bool = True

    def __post_init__(self) -> None:
        if self.mixer not in MIXERS:
            raise ValueError(f"unknown token mixer {self.mixer!r}, expected one of {', '.join(MIXERS)}")
        if self.num_heads is not None and self.num_heads < 1:
            raise ValueError(f"{self.num_heads} heads, expected 1 or more")
        for field in fields(self)[1:]:
            value, own = getattr(self, field.name), _OWN.get(field.name, {})
            if field.name not in MIXERS[self.mixer] or value == own.get(self.mixer, field.default):
                object.__setattr__(self, field.name, field.default)

    def __str__(self) -> str:
        return ".".join([self.mixer, *self._spelled()])

    def _spelled(self) -> Iterator[str]:
        for name, letter in _NUMBERS.items():
            if (number := getattr(self, name)) is not None:
                yield f"{letter}{number}"
        yield from (word for word, (name, value) in _WORDS.items() if getattr(self, name) == value)

    def switches(self) -> dict[str, Any]:
        """The switches that are set, but for heads and head dim, which the backbone completes."""
        changed = {field.name: getattr(self, field.name) for field in fields(self)[3:]}
        return {name: value for name, value in changed.items() if value is not None and value is not True}

    @classmethod
    def parse(cls, text: str) -> Stage:
        """The stage that `text` spells, as in `cska.h8.nosoftmax`; ValueError if it spells none."""
        mixer, *switches = text.split(".")
        changed = [_read(switch, text) for switch in switches]
        if len(dict(changed)) < len(changed):
            raise ValueError(f"{text!r} says something twice, expected each switch once")
        return cls(mixer, **dict(changed))


SWITCHES = {field.name for field in fields(Stage)[1:]}


def _read(switch: str, text: str) -> tuple[str, Any]:
    """The field that a switch sets, and to what."""
    if switch in _WORDS:
        return _WORDS[switch]
    if not _NUMBER.fullmatch(switch):
        raise ValueError(f"unknown switch {switch!r} in {text!r}, expected {_EXPECTED}")
    return next(name for name, letter in _NUMBERS.items() if letter == switch[0]), int(switch[1:])


@dataclass(frozen=True)
class Candidate:
    """A backbone and the token mixer of each stage. Two spellings of one architecture are equal."""

    backbone: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {self.backbone!r}, expected one of {', '.join(BACKBONES)}")
        if len(self.stages) != NUM_STAGES:
            raise ValueError(f"{len(self.stages)} stages, expected {NUM_STAGES}")
        frame = zip(self.stages, BACKBONES[self.backbone].dims, self._default_heads(), strict=True)
        object.__setattr__(self, "stages", tuple(_canonical(*stage) for stage in frame))

    def __str__(self) -> str:
        return f"{self.backbone}-{self.placement}"

    @property
    def placement(self) -> str:
        """The stages alone: `dwconv-cska-attn-attn`."""
        return "-".join(map(str, self.stages))

    @property
    def num_heads(self) -> list[int]:
        """Heads of each stage, the backbone's own count where the stage names none."""
        return [stage.num_heads or heads for stage, heads in zip(self.stages, self._default_heads(), strict=True)]

    @property
    def head_dims(self) -> list[int]:
        """Channels per head of each stage."""
        sizes = zip(self.stages, BACKBONES[self.backbone].dims, self.num_heads, strict=True)
        return [stage.head_dim or dim // heads for stage, dim, heads in sizes]

    def _default_heads(self) -> list[int]:
        spec = BACKBONES[self.backbone]
        return [dim // spec.head_dim for dim in spec.dims]

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """The candidate that `text` spells; ValueError with what was found and what was wanted if it spells none."""
        backbone, *stages = text.split("-")
        if len(stages) != NUM_STAGES:
            raise ValueError(
                f"candidate {text!r} has {len(stages)} stages, "
                f"expected <backbone>-<mixer>-<mixer>-<mixer>-<mixer> such as caformer_micro-dwconv-cska-attn-attn"
            )
        return cls(backbone, tuple(map(Stage.parse, stages)))

    def problem(self) -> str | None:
        """Why no image size lets this be built (heads that do not divide), or None."""
        dims = BACKBONES[self.backbone].dims
        for number, (stage, dim, heads) in enumerate(zip(self.stages, dims, self.num_heads, strict=True), 1):
            if not stage.head_dim and "num_heads" in MIXERS[stage.mixer] and dim % heads:
                return f"{self}: stage {number}: {dim} channels do not divide into {heads} heads"
            if not stage.query and stage.head_dim and heads * stage.head_dim != dim:
                return f"{self}: stage {number}: without q, {heads} heads of {stage.head_dim} must make {dim} channels"
        return None

    def too_large(self, img_size: int) -> str | None:
        """Why this is not worth launching at `img_size` pixels (a CSKA map above CSKA_MAP_LIMIT), or None."""
        grids = BACKBONES[self.backbone].grids(img_size)
        for number, (stage, heads, (height, width)) in enumerate(
            zip(self.stages, self.num_heads, grids, strict=True), 1
        ):
            size = 4 * heads * (height * width) ** 2
            if stage.mixer == "cska" and stage.softmax and size > CSKA_MAP_LIMIT:
                return (
                    f"{self}: stage {number}: a CSKA map of {size / 2**20:.0f} MiB an image and layer "
                    f"at {img_size} px, above the bound of {CSKA_MAP_LIMIT / 2**20:.0f} MiB"
                )
        return None


def _canonical(stage: Stage, dim: int, own_heads: int) -> Stage:
    """Heads and head dim left out where they are what would be taken anyway."""
    heads = stage.num_heads or own_heads
    return replace(
        stage,
        num_heads=None if heads == own_heads else heads,
        head_dim=None if stage.head_dim and stage.head_dim * heads == dim else stage.head_dim,
    )
