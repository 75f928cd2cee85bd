"""Random crops and flips of a whole batch at once, on the device that holds it."""

from __future__ import annotations

import torch
from torch import Tensor


def random_crop(images_BCHW: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to `padding` pixels either way, filled with zeros."""
    B, _, H, W = images_BCHW.shape
    padded = torch.nn.functional.pad(images_BCHW, [padding] * 4)
    top, left = torch.randint(0, 2 * padding + 1, (2, B, 1), generator=generator).to(images_BCHW.device)
    rows = top + torch.arange(H, device=images_BCHW.device)
    columns = left + torch.arange(W, device=images_BCHW.device)
    batch = torch.arange(B, device=images_BCHW.device)
    return padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_hflip(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the images mirrored left to right."""
    flip = torch.rand(len(images_BCHW), 1, 1, 1, generator=generator).to(images_BCHW.device) < 0.5
    return torch.where(flip, images_BCHW.flip(3), images_BCHW)
