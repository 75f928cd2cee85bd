"""Seeds of the random draws in training: each is a function of facts such as seed and epoch, so that runs repeat."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, which augmentation, mixing and drop path draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def derive_seed(*facts: int | str) -> int:
    """A seed of 56 bits that depends on nothing but these facts: their hash."""
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
