"""An architecture as text and as data: `caformer_s18-dwconv-cska.h8.nosoftmax-attn-attn`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from searchspace import switches
from searchspace.switches import MIXERS, SWITCHES

NUM_STAGES = 4
CSKA_MAP_LIMIT = 64 * 2**20  # bytes of one layer's fp32 attention map, per image

# The token mixers of CAFormer itself (arXiv 2210.13452), which the paper's tables call the baseline.
CAFORMER_PLACEMENT = "dwconv-dwconv-attn-attn"


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
        defaults = MIXERS[self.mixer]
        for switch in SWITCHES:
            value = getattr(self, switch.name)
            if switch.name not in defaults or value == defaults[switch.name]:
                object.__setattr__(self, switch.name, switch.unset)

    def __str__(self) -> str:
        words = [self.mixer]
        for switch in SWITCHES:
            spelled = switch.spell(getattr(self, switch.name))
            if spelled is not None:
                words.append(spelled)
        return ".".join(words)

    def switches(self) -> dict[str, Any]:
        """The switches that are set, by field, other than heads and head dim, which the backbone completes."""
        changed = {}
        for switch in SWITCHES:
            value = getattr(self, switch.name)
            if switch.name not in ("num_heads", "head_dim") and value != switch.unset:
                changed[switch.name] = value
        return changed

    @classmethod
    def parse(cls, text: str) -> Stage:
        """The stage that `text` spells, as in `cska.h8.nosoftmax`; ValueError if it spells none."""
        mixer, *spellings = text.split(".")
        values: dict[str, Any] = {}
        for spelled in spellings:
            found = switches.read(spelled)
            if found is None:
                raise ValueError(f"unknown switch {spelled!r} in {text!r}, expected {switches.expected()}")
            switch, value = found
            if switch.name in values:
                raise ValueError(f"{text!r} says something twice, expected each switch once")
            values[switch.name] = value
        return cls(mixer, **values)


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
