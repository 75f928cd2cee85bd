"""Copies decoded batches to the device while it computes, and normalises them there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class DeviceCopy:
    """Copies and normalises on one CUDA stream, which lives as long as this object; on a CPU there is none.

    `mean` and `std` are those of each channel, for pixels from 0 to 1.
    """

    def __init__(self, device: torch.device, mean: Sequence[float], std: Sequence[float]) -> None:
        self._device = device
        self._mean = _per_channel(mean, device)
        self._std = _per_channel(std, device)
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))  # which makes the mean and the deviation

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) from uint8 to normalised floats, channels last, and labels (B,), on the device.

        From pinned memory nothing waits for the copy but the device's own next use of the batch.
        """
        if self._stream is None:
            return self._copy(images, labels)
        with torch.cuda.stream(self._stream):
            batch = self._copy(images, labels)
        consumer = torch.cuda.current_stream(self._device)
        consumer.wait_stream(self._stream)
        for tensor in batch:
            tensor.record_stream(consumer)  # or its memory could be given to a later copy while still in use
        return batch

    def _copy(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        floats = images.to(self._device, non_blocking=True).float()
        normalised = floats.sub_(self._mean).div_(self._std)
        labels = labels.to(self._device, non_blocking=True)
        return normalised.contiguous(memory_format=torch.channels_last), labels


def _per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """(1, C, 1, 1), for pixels from 0 to 255."""
    scaled = [255 * value for value in values]
    return torch.tensor(scaled, device=device).view(1, -1, 1, 1)
