"""Crops and flips of a whole batch at once, on the device that holds it. Drawing and applying are apart, so that
several GPUs can draw the same numbers for a batch and each apply its part."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_shifts(number: int, padding: int, generator: torch.Generator) -> Tensor:
    """(2, number, 1): how far down and right each image moves, from 0 to twice the padding."""
    return torch.randint(0, 2 * padding + 1, (2, number, 1), generator=generator)


def shifted(images_BCHW: Tensor, shifts_2B1: Tensor, padding: int) -> Tensor:
    """Each image moved by up to `padding` pixels either way, filled with zeros."""
    B, _, H, W = images_BCHW.shape
    device = images_BCHW.device
    padded = torch.nn.functional.pad(images_BCHW, [padding] * 4)
    top, left = shifts_2B1.to(device)
    rows, columns, batch = (torch.arange(size, device=device) for size in (H, W, B))
    rows, columns = top + rows, left + columns
    return padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def draw_flips(number: int, generator: torch.Generator) -> Tensor:
    """(number, 1, 1, 1): true for half of the images."""
    return torch.rand(number, 1, 1, 1, generator=generator) < 0.5


def flipped(images_BCHW: Tensor, flips_B111: Tensor) -> Tensor:
    """The chosen images mirrored left to right."""
    return torch.where(flips_B111.to(images_BCHW.device), images_BCHW.flip(3), images_BCHW)
