"""A checksum over a whole Parquet file, stored inside the file.

Parquet's page checksums do not cover the footer, where a flipped bit can change a value unnoticed. A Parquet reader
finds the footer from the end of the file and never reads the bytes just before it, so the checksum is stored there.
"""

from __future__ import annotations

import pyarrow as pa

from storage.digest import digest

MARKER = b"blake2b:"


def add_checksum(content: bytes | pa.Buffer) -> bytes:
    """The Parquet file `content` with a marker and the digest of all its bytes inserted before the footer."""
    plain = bytes(content)
    footer = _footer_start(plain)
    return plain[:footer] + MARKER + bytes.fromhex(digest(plain)) + plain[footer:]


def verify_checksum(content: bytes) -> None:
    """ValueError if a file with a checksum has changed. A file without one (of an older version) is accepted."""
    footer = _footer_start(content)
    checksum = footer - 16
    marker = checksum - len(MARKER)
    if marker < 0 or not content.startswith(MARKER, marker):
        return
    stored = content[checksum:footer]
    plain = content[:marker] + content[footer:]
    if stored.hex() != digest(plain):
        raise ValueError("its bytes are not those that were written")


def _footer_start(content: bytes) -> int:
    """Index of the footer's first byte; negative if the stored footer length exceeds the file."""
    length_and_magic = content[-8:]  # 4 bytes footer length, little endian, then the 4 bytes "PAR1"
    footer_length = int.from_bytes(length_and_magic[:4], "little")
    return len(content) - 8 - footer_length
