"""timm's transforms of streamed images, up to uint8: what follows (normalising, erasing, mixing) runs on the device."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.dataset import Array
from trainers.data.decoding import OneLineError
from trainers.data.seeds import derive_seed, seed_everything
from trainers.data.streamed import ImageReader
from trainers.recipes import Recipe

from timm.data import create_transform

INTERPOLATION = "bicubic"  # at evaluation; in training timm draws bilinear or bicubic for each image

Transform = Callable[[Image.Image], Tensor]  # to (C, H, W) of uint8


class ImageTransformError(OneLineError, RuntimeError):
    """A transform raised an exception for an image, which the message names."""


class TransformedImages(Dataset):
    """Images of a reader, transformed, with their labels. ImageTransformError names an image whose transform fails.

    With a seed, the random draws for an image depend on the seed and the image's index alone: neither the number of
    ranks nor that of loader processes changes them.
    """

    def __init__(self, images: ImageReader, labels: Array, transform: Transform, seed: int | None = None) -> None:
        self.images = images
        self.labels = labels
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self.seed is not None:
            seed_everything(derive_seed(self.seed, index))
        image = self.images.read(index)
        try:
            pixels = self.transform(image)
        except (ValueError, OSError, ArithmeticError, LookupError, TypeError) as error:
            description = self.images.describe(index)
            raise ImageTransformError(f"{description} cannot be transformed: {error}") from error
        return pixels, int(self.labels[index])


def training_transform(recipe: Recipe) -> Transform:
    """Random resized crop, and the flip and the RandAugment of the recipe."""
    return create_transform(
        recipe.img_size,
        is_training=True,
        hflip=0.5 if recipe.hflip else 0.0,
        auto_augment=recipe.auto_augment,
        interpolation="random",
        use_prefetcher=True,
    )


def evaluation_transform(img_size: int, crop_pct: float, interpolation: str = INTERPOLATION) -> Transform:
    """Resize to `img_size / crop_pct` pixels on the shorter side, and crop the centre."""
    return create_transform(img_size, interpolation=interpolation, crop_pct=crop_pct, use_prefetcher=True)
