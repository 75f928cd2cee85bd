"""The one digest of file contents: checkpoints, their verification and Parquet files all use it."""

from __future__ import annotations

import hashlib


def digest(content: bytes) -> str:
    """The BLAKE2b digest of `content`: 16 bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
