"""Batches of images in memory, which are augmented on the device that trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.data.augment import draw_flips, draw_shifts, flip_images, shift_images
from trainers.data.dataset import Array
from trainers.data.in_memory import InMemoryDataset
from trainers.data.loader import Batch, BatchLoader, group_seed, pad_batch, split_group
from trainers.data.seeds import derive_seed, seed_everything
from trainers.rank_context import RankContext
from trainers.recipes import Recipe


@dataclass(frozen=True)
class _EpochDraws:
    """Random draws of an epoch for images in memory, on the device, by step."""

    order: Tensor  # (steps, batch): indices of the images
    shifts: Tensor | None  # (steps, 2, batch, 1), see `draw_shifts`
    flips: Tensor | None  # (steps, batch, 1, 1, 1), see `draw_flips`


class InMemoryLoader(BatchLoader):
    """Batches of images that lie on the device as uint8, (n, C, H, W) in channels-last layout."""

    def __init__(
        self, data: InMemoryDataset, recipe: Recipe, *, device: torch.device, rank_context: RankContext
    ) -> None:
        super().__init__(data, recipe, device=device, rank_context=rank_context)
        self.train_images = self._put_images(data.train_images[self.train_indices])
        self.train_labels = self._put(data.train_labels[self.train_indices])
        self.val_images = self._put_images(data.train_images[self.val_indices])
        self.val_labels = self._put(data.train_labels[self.val_indices])
        self.test_images = self._put_images(data.test_images.copy())
        self.test_labels = self._put(data.test_labels.copy())

        sample = data.train_images[self.train_indices[:2000]]  # enough for the statistics of each channel
        pixels = sample.reshape(-1, data.channels)
        self._pixel_mean = self._put_statistic(pixels.mean(0))
        self._pixel_std = self._put_statistic(pixels.std(0)).clamp(min=1)
        self.mean = _from_0_to_1(self._pixel_mean)
        self.std = _from_0_to_1(self._pixel_std)

    def train_batches(self, micro_batch: int, seed: int) -> Iterator[Batch]:
        draws = self._draw_epoch(seed)
        rank = self.rank_context.rank
        seed_everything(derive_seed(seed, rank) if rank else seed)  # for drop path, which differs from rank to rank
        for step in range(self.steps):
            for group in self.groups:
                images, labels = self._augment(draws, step, slice(group.start, group.stop))
                if self.mixup is not None:
                    seed_everything(group_seed(seed, step, group))
                    images, labels = self.mixup(images, labels)
                yield from split_group(images, labels, micro_batch)

    def val_batches(self, size: int, *, padded: bool = False) -> Iterator[Batch]:
        return self._evaluation_batches(self.val_images, self.val_labels, size, padded=padded)

    def test_batches(self, size: int, *, padded: bool = False) -> Iterator[Batch]:
        return self._evaluation_batches(self.test_images, self.test_labels, size, padded=padded)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) as floats whose channels have mean 0 and deviation 1, channels last."""
        normalised = (images.float() - self._pixel_mean) / self._pixel_std
        return normalised.contiguous(memory_format=torch.channels_last)

    def _draw_epoch(self, seed: int) -> _EpochDraws:
        """All draws of an epoch for the whole batches of all ranks, moved to the device at once."""
        generator = torch.Generator().manual_seed(seed)  # on the CPU: it draws the same on every device and rank
        size = self.batch_size
        padding = self.recipe.crop_padding
        order = torch.randperm(len(self.train_labels), generator=generator)
        shifts = []
        flips = []
        for _ in range(self.steps):
            if padding:
                shifts.append(draw_shifts(size, padding, generator))
            if self.recipe.hflip:
                flips.append(draw_flips(size, generator))
        return _EpochDraws(
            order=self._put_draws(order[: self.steps * size].view(self.steps, size)),
            shifts=self._put_draws(torch.stack(shifts)) if shifts else None,
            flips=self._put_draws(torch.stack(flips)) if flips else None,
        )

    def _augment(self, draws: _EpochDraws, step: int, positions: slice) -> Batch:
        """The images at these positions of a step's batch, shifted, flipped and normalised, with their labels."""
        chosen = draws.order[step, positions]
        images = self.train_images[chosen]
        if draws.shifts is not None:
            images = shift_images(images, draws.shifts[step, :, positions], self.recipe.crop_padding)
        if draws.flips is not None:
            images = flip_images(images, draws.flips[step, positions])
        return self.normalise(images), self.train_labels[chosen]

    def _put_draws(self, draws: Tensor) -> Tensor:
        """The tensor on the device; training does not wait for the copy."""
        if self.device.type == "cuda":
            draws = draws.pin_memory()
        return draws.to(self.device, non_blocking=True)

    def _evaluation_batches(self, images: Tensor, labels: Tensor, size: int, *, padded: bool) -> Iterator[Batch]:
        images = images[self.rank_slice]
        labels = labels[self.rank_slice]
        if not len(images):  # there are more ranks than images; `split` would make one empty batch
            return
        image_batches = images.split(size)
        label_batches = labels.split(size)
        for image_batch, label_batch in zip(image_batches, label_batches, strict=True):
            batch = self.normalise(image_batch), label_batch
            yield pad_batch(*batch, size) if padded else batch

    def _put(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _put_images(self, images_NHWC: Array) -> Tensor:
        """(n, C, H, W), still in the channels-last layout that the images were decoded in."""
        return self._put(images_NHWC).permute(0, 3, 1, 2)

    def _put_statistic(self, values: Array) -> Tensor:
        """One number for each channel, as (1, C, 1, 1)."""
        statistic = torch.tensor(values, dtype=torch.float32, device=self.device)
        return statistic.view(1, -1, 1, 1)


def _from_0_to_1(pixel_values: Tensor) -> tuple[float, ...]:
    """One number for each channel, of pixels from 0 to 1 instead of 0 to 255."""
    scaled = pixel_values.flatten() / 255
    return tuple(scaled.tolist())
