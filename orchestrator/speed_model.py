"""Predicts how long a candidate trains, from the measured speeds of the cheapest and the most expensive candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from results.records import CostRecord
from trainers.cost import Cost
from trainers.data.dataset import ImageDataset
from trainers.data.decoding_estimate import DecodingEstimate
from trainers.recipes import Recipe


@dataclass(frozen=True)
class ImageTime:
    """Seconds that one image takes, as a linear function of the candidate's FLOPs."""

    base_seconds: float
    seconds_per_flop: float

    @classmethod
    def through(cls, low: tuple[int, float], high: tuple[int, float]) -> ImageTime:
        """The line through two candidates, each given as (FLOPs, images per second)."""
        low_seconds = 1 / low[1]
        high_seconds = 1 / high[1]
        slope = (high_seconds - low_seconds) / max(high[0] - low[0], 1)
        return cls(low_seconds - slope * low[0], slope)

    def seconds(self, flops: int) -> float:
        """Seconds that one image takes a candidate of so many FLOPs."""
        return self.base_seconds + self.seconds_per_flop * flops


@dataclass(frozen=True)
class SpeedModel:
    """How long one rank takes to train on an image, and to evaluate one."""

    train: ImageTime
    evaluate: ImageTime

    @classmethod
    def fit(cls, costs: Sequence[Cost | CostRecord]) -> SpeedModel:
        """The model through the measured candidates with the fewest and the most FLOPs."""
        low = min(costs, key=lambda cost: cost.flops)
        high = max(costs, key=lambda cost: cost.flops)
        return cls(
            ImageTime.through(
                (low.flops, low.train_images_per_second),
                (high.flops, high.train_images_per_second),
            ),
            ImageTime.through((low.flops, low.images_per_second), (high.flops, high.images_per_second)),
        )

    def trial_seconds(
        self,
        flops: int,
        recipe: Recipe,
        data: ImageDataset,
        epochs: int,
        *,
        ranks: int = 1,
        loader: DecodingEstimate | None = None,
    ) -> float:
        """Seconds of `epochs` epochs of training and validation, and of one pass over the test images."""
        train = self.train.seconds(flops) / ranks
        evaluate = self.evaluate.seconds(flops) / ranks
        if loader:
            train = loader.seconds_per_image(train)
            evaluate = loader.seconds_per_image(evaluate)
        num_val = data.num_train * recipe.val_fraction
        epoch_seconds = (data.num_train - num_val) * train + num_val * evaluate
        return epochs * epoch_seconds + data.num_test * evaluate
