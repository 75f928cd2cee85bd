"""Random crops and flips of a whole batch at once, on the device that holds it.

Numbers are drawn apart from being applied: each rank draws those of the whole batch and applies its slice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_shifts(number: int, padding: int, generator: torch.Generator) -> Tensor:
    """(2, number, 1): the row and the column at which each image's crop begins, from 0 to twice the padding."""
    return torch.randint(0, 2 * padding + 1, (2, number, 1), generator=generator)


def shift_images(images_BCHW: Tensor, shifts_2B1: Tensor, padding: int) -> Tensor:
    """Each image padded with zeros on all sides, and cropped to its old size at its row and column of `draw_shifts`."""
    B, _, H, W = images_BCHW.shape
    device = images_BCHW.device
    padded_BCHW = F.pad(images_BCHW, [padding] * 4)
    top_B1, left_B1 = shifts_2B1.to(device)
    batch_B11 = torch.arange(B, device=device)[:, None, None]
    rows_BH = top_B1 + torch.arange(H, device=device)
    columns_BW = left_B1 + torch.arange(W, device=device)
    crops_BHWC = padded_BCHW[batch_B11, :, rows_BH[:, :, None], columns_BW[:, None, :]]
    return crops_BHWC.permute(0, 3, 1, 2)


def draw_flips(number: int, generator: torch.Generator) -> Tensor:
    """(number, 1, 1, 1): true for each image with a probability of one half."""
    return torch.rand(number, 1, 1, 1, generator=generator) < 0.5


def flip_images(images_BCHW: Tensor, flips_B111: Tensor) -> Tensor:
    """The images for which `flips_B111` is true mirrored left to right, the others unchanged."""
    mirrored = images_BCHW.flip(3)
    return torch.where(flips_B111.to(images_BCHW.device), mirrored, images_BCHW)
