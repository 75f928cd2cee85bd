"""What a checkpoint says about its weights: how they were trained, and which images the model takes.

The annotations state what is valid. pydantic checks them where JSON is read (trainers/export/load.py). No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeInt, PositiveInt

from trainers.names import is_name


def _check_name(text: str) -> str:
    if not is_name(text):
        raise ValueError("expected text without control characters")
    return text


Text = Annotated[str, AfterValidator(_check_name)]


@dataclass(frozen=True, kw_only=True)
class CheckpointMetadata:
    """How the weights of a checkpoint were trained, and which images they take; stored with every checkpoint.

    `mean` and `std` normalise pixels between 0 and 1, with one number per channel. ValueError unless there are 1 or 3.
    """

    candidate: Text
    recipe: Text
    recipe_fingerprint: Text
    data: Text
    data_fingerprint: Text
    seed: NonNegativeInt
    commit: Text
    torch: Text  # version
    img_size: PositiveInt  # pixels
    classes: Annotated[tuple[Text, ...], Field(min_length=1)]
    mean: tuple[FiniteFloat, ...]
    std: tuple[Annotated[FiniteFloat, Field(gt=0)], ...]
    crop_pct: Annotated[FiniteFloat, Field(gt=0, le=1)]  # fraction of the resized image that evaluation keeps
    interpolation: Annotated[str, Field(pattern="^(bicubic|bilinear|nearest|lanczos|box|hamming)$")]
    streamed: bool  # True: timm decodes and transforms images one by one; False: they are resized once, in memory
    init: Text | None = None  # name and fingerprint of the initial weights; None: random

    def __post_init__(self) -> None:
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ValueError(f"mean {self.mean} and std {self.std}, expected 1 or 3 numbers in each")

    @property
    def channels(self) -> int:
        """1 for gray images, 3 for RGB."""
        return len(self.mean)

    @property
    def identity(self) -> dict[str, str | int]:
        """The values that identify a trial. Two checkpoints with equal ones belong to the same trial."""
        return {
            "candidate": self.candidate,
            "recipe": self.recipe_fingerprint,
            "data": self.data_fingerprint,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Scores:
    """Completed epochs, and top-1 in percent after the last of them; None if not measured or if training diverged."""

    epochs: NonNegativeInt
    val_top1: FiniteFloat | None
    test_top1: FiniteFloat | None
