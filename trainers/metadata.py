"""How the weights of a checkpoint came to be, and what images their model takes. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CheckpointMetadata:
    """Written into every checkpoint. Mean and deviation are of pixels between 0 and 1, one for each channel."""

    candidate: str
    recipe: str
    recipe_fingerprint: str
    data: str
    data_fingerprint: str
    seed: int
    commit: str
    torch: str
    img_size: int  # pixels
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float  # of the resized image that is kept at evaluation
    interpolation: str
    streamed: bool  # decoded and transformed by timm, not once into memory
    init: str | None = None  # weights that training began with, if they were not random

    @property
    def channels(self) -> int:
        """1 for gray images, 3 for colour."""
        return len(self.mean)

    @property
    def identity(self) -> dict[str, str | int]:
        """What makes two trials the same."""
        return {
            "candidate": self.candidate,
            "recipe": self.recipe_fingerprint,
            "data": self.data_fingerprint,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Scores:
    """What was recorded in training: epochs done, and top-1 in percent at the last of them; None if it was not read."""

    epochs: int
    val_top1: float | None
    test_top1: float | None
