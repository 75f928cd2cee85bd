"""An architecture as text and as data: `caformer_s18-dwconv-cska.h8.nosoftmax-attn-attn`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from searchspace import switches
from searchspace.backbone_specs import BACKBONES, Backbone
from searchspace.switches import MIXERS, SWITCHES

NUM_STAGES = 4

# The token mixers of CAFormer itself (arXiv 2210.13452), which the paper's tables call the baseline.
CAFORMER_PLACEMENT = "dwconv-dwconv-attn-attn"


@dataclass(frozen=True)
class Stage:
    """The token mixer of one stage, and its switches.

    A switch that the mixer does not have is unset, and so is one that is given the mixer's default, so that stages
    which build the same model are equal. ValueError for an unknown mixer or less than one head.
    """

    mixer: str
    num_heads: int | None = None  # None: the backbone's own number
    head_dim: int | None = None  # channels of a head; None: the stage's channels / num_heads
    kernel_size: int | None = None  # of CSKA's convolution
    key_init: str | None = None  # a name in switches.KEY_STD
    query: bool = True  # False: the input is the query, without a projection
    bias: bool = True  # of CSKA's convolution
    scale: bool = True  # of the logits, by 1 / sqrt(head_dim)
    softmax: bool = True

    def __post_init__(self) -> None:
        if self.mixer not in MIXERS:
            known = ", ".join(MIXERS)
            raise ValueError(f"unknown token mixer {self.mixer!r}, expected one of {known}")
        if self.num_heads is not None and self.num_heads < 1:
            raise ValueError(f"{self.num_heads} heads, expected 1 or more")
        defaults = MIXERS[self.mixer]
        for switch in SWITCHES:
            name = switch.name
            if name not in defaults or getattr(self, name) == defaults[name]:
                object.__setattr__(self, name, switch.unset)

    def __str__(self) -> str:
        words = [self.mixer]
        for switch in SWITCHES:
            spelled = switch.spell(getattr(self, switch.name))
            if spelled is not None:
                words.append(spelled)
        return ".".join(words)

    @classmethod
    def parse(cls, text: str) -> Stage:
        """The stage that `text` spells, such as `cska.h8.nosoftmax`; ValueError if it spells none."""
        mixer, *spellings = text.split(".")
        values: dict[str, Any] = {}
        for spelled in spellings:
            found = switches.read(spelled)
            if found is None:
                raise ValueError(f"unknown switch {spelled!r} in {text!r}, expected {switches.expected()}")
            switch, value = found
            name = switch.name
            if name in values:
                raise ValueError(f"{text!r} says something twice, expected each switch once")
            values[name] = value
        return cls(mixer, **values)

    def changed_switches(self) -> dict[str, Any]:
        """The switches that are set, by field. Heads and head dim are left out: they also depend on the backbone."""
        changed = {}
        for switch in SWITCHES:
            value = getattr(self, switch.name)
            if switch.name not in ("num_heads", "head_dim") and value != switch.unset:
                changed[switch.name] = value
        return changed


@dataclass(frozen=True)
class Candidate:
    """A backbone and the token mixer of each of its stages.

    Candidates that build the same model are equal and are spelled in the same way. ValueError for an unknown backbone
    or another number of stages.
    """

    backbone: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise ValueError(f"unknown backbone {self.backbone!r}, expected one of {known}")
        if len(self.stages) != NUM_STAGES:
            raise ValueError(f"{len(self.stages)} stages, expected {NUM_STAGES}")
        stages = map(_canonical, self.stages, self.spec.dims, self.spec.num_heads)
        object.__setattr__(self, "stages", tuple(stages))

    def __str__(self) -> str:
        return f"{self.backbone}-{self.placement}"

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """The candidate that `text` spells; ValueError with what was found and what was expected if it spells none."""
        backbone, *stages = text.split("-")
        if len(stages) != NUM_STAGES:
            raise ValueError(
                f"candidate {text!r} has {len(stages)} stages, "
                f"expected <backbone>-<mixer>-<mixer>-<mixer>-<mixer> such as caformer_micro-dwconv-cska-attn-attn"
            )
        return cls(backbone, tuple(map(Stage.parse, stages)))

    @property
    def spec(self) -> Backbone:
        """The sizes of the backbone."""
        return BACKBONES[self.backbone]

    @property
    def placement(self) -> str:
        """The text of the stages alone: `dwconv-cska-attn-attn`."""
        return "-".join(map(str, self.stages))

    @property
    def num_heads(self) -> list[int]:
        """Heads of each stage: the backbone's own number where the stage names none."""
        defaults = zip(self.stages, self.spec.num_heads, strict=True)
        return [stage.num_heads or default for stage, default in defaults]

    @property
    def head_dims(self) -> list[int]:
        """Channels of a head, for each stage."""
        sizes = zip(self.stages, self.spec.dims, self.num_heads, strict=True)
        return [stage.head_dim or dim // heads for stage, dim, heads in sizes]

    def problem(self) -> str | None:
        """Why this cannot be built for images of any size, or None if it can."""
        sizes = zip(self.stages, self.spec.dims, self.num_heads, strict=True)
        for number, (stage, dim, heads) in enumerate(sizes, 1):
            reason = _misfit(stage, dim, heads)
            if reason:
                return f"{self}: stage {number}: {reason}"
        return None

    def map_bytes(self, img_size: int) -> int:
        """Bytes in fp32 of the largest attention map that a layer holds for one image of `img_size` pixels.

        Only CSKA with softmax holds one; 0 if there is none. The other mixers' kernels never store theirs.
        """
        return max(self._map_bytes_of_stages(img_size))

    def too_large(self, img_size: int, map_limit: int = 64 * 2**20) -> str | None:
        """Why this is not worth training at `img_size` pixels, or None if it is: see `map_bytes`."""
        for number, map_bytes in enumerate(self._map_bytes_of_stages(img_size), 1):
            if map_bytes > map_limit:
                return (
                    f"{self}: stage {number}: a CSKA map of {map_bytes / 2**20:.0f} MiB an image and layer "
                    f"at {img_size} px, above the bound of {map_limit / 2**20:.0f} MiB"
                )
        return None

    def _map_bytes_of_stages(self, img_size: int) -> list[int]:
        sizes = []
        stages = zip(self.stages, self.num_heads, self.spec.grids(img_size), strict=True)
        for stage, heads, (height, width) in stages:
            has_map = stage.mixer == "cska" and stage.softmax
            num_tokens = height * width
            sizes.append(4 * heads * num_tokens**2 if has_map else 0)
        return sizes


def _canonical(stage: Stage, dim: int, default_heads: int) -> Stage:
    """`stage` without the head count and the head dim that it would also have if it did not name them."""
    heads = stage.num_heads or default_heads
    num_heads = stage.num_heads
    if num_heads == default_heads:
        num_heads = None
    head_dim = stage.head_dim
    if head_dim is not None and head_dim * heads == dim:
        head_dim = None
    return replace(stage, num_heads=num_heads, head_dim=head_dim)


def _misfit(stage: Stage, dim: int, heads: int) -> str | None:
    """Why this many heads do not fit a stage of `dim` channels, or None if they do."""
    has_heads = "num_heads" in MIXERS[stage.mixer]
    if stage.head_dim is None:
        if has_heads and dim % heads:
            return f"{dim} channels do not divide into {heads} heads"
        return None
    inner_dim = heads * stage.head_dim
    if not stage.query and inner_dim != dim:
        return f"without q, {heads} heads of {stage.head_dim} must make {dim} channels"
    return None
