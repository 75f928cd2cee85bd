"""A digest inside a Parquet file. Page checksums leave out the footer, where a flipped bit can change a value unseen;
readers look for the footer from the end of a file, so that there is room before it for what they never read."""

from __future__ import annotations

import hashlib

import pyarrow as pa

MARK, SIZE = b"blake2b:", 16  # the mark, then the digest of all other bytes
TAIL = 8  # length of the footer and Parquet's own mark


def sealed(content: bytes | pa.Buffer) -> bytes:
    """The same file with its digest before the footer."""
    plain = bytes(content)
    at = _footer(plain)
    return plain[:at] + MARK + _digest(plain) + plain[at:]


def check(content: bytes) -> None:
    """ValueError if a sealed file is not as it was written. One without a seal, of an older version, passes."""
    at = _footer(content)
    start = at - len(MARK) - SIZE
    if start < 0 or content[start : start + len(MARK)] != MARK:
        return
    if _digest(content[:start] + content[at:]) != content[at - SIZE : at]:
        raise ValueError("its bytes are not those that were written")


def _footer(content: bytes) -> int:
    """Where the footer begins, or a place before the file if its length makes no sense."""
    return len(content) - TAIL - int.from_bytes(content[-TAIL : -TAIL // 2], "little")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=SIZE).digest()
