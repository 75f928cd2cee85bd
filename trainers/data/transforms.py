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
from timm.data.auto_augment import RandAugment, posterize

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
        return self.load(index, self.seed)

    def load(self, index: int, seed: int | None) -> tuple[Tensor, int]:
        """The image at `index` with draws of `seed` instead of the data set's own, and its label."""
        if seed is not None:
            seed_everything(derive_seed(seed, index))
        image = self.images.read(index)
        try:
            pixels = self.transform(image)
        except (ValueError, OSError, ArithmeticError, LookupError, TypeError) as error:
            description = self.images.describe(index)
            raise ImageTransformError(f"{description} cannot be transformed: {error}") from error
        return pixels, int(self.labels[index])


def training_transform(recipe: Recipe) -> Transform:
    """Random resized crop, and the flip and the RandAugment of the recipe."""
    transform = create_transform(
        recipe.img_size,
        is_training=True,
        hflip=0.5 if recipe.hflip else 0.0,
        auto_augment=recipe.auto_augment,
        interpolation="random",
        use_prefetcher=True,
    )
    for step in transform.transforms:
        if isinstance(step, RandAugment):
            _allow_posterizing_to_0_bits(step)
    return transform


def evaluation_transform(img_size: int, crop_pct: float, interpolation: str = INTERPOLATION) -> Transform:
    """Resize to `img_size / crop_pct` pixels on the shorter side, and crop the centre."""
    return create_transform(img_size, interpolation=interpolation, crop_pct=crop_pct, use_prefetcher=True)


def _allow_posterizing_to_0_bits(policy: RandAugment) -> None:
    """Replace the function of the policy's posterize operation by ours; timm's own functions stay as they are."""
    for operation in policy.ops:
        if operation.aug_fn is posterize:
            operation.aug_fn = _posterize


def _posterize(image: Image.Image, bits_to_keep: int, **options: object) -> Image.Image:
    """timm's `posterize`, and a black image where no bits are kept.

    `rand-m9-mstd0.5-inc1` keeps none in 1 of 660 images. Pillow up to 12 returned black, which is what the paper's
    authors trained with; Pillow 13 raises ValueError.
    """
    if bits_to_keep == 0:
        return Image.new(image.mode, image.size)
    return posterize(image, bits_to_keep, **options)
