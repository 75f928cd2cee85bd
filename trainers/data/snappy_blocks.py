"""Random access into Snappy's raw format, whose compressors start anew every 64 KiB.

The format: github.com/google/snappy, format_description.txt. A range of whole blocks, with a new length
before it, is a valid stream of its own.
"""

from __future__ import annotations

BLOCK_SIZE = 2**16  # bytes before compression
LENGTH_BITS = 7  # of each byte of a variable-length integer; the highest bit says that another byte follows


def block_starts(compressed: bytes | memoryview) -> list[int] | None:
    """Where each block starts in a Snappy stream, and where the last one ends.

    None if the stream was compressed without regard to such blocks: then only the whole of it can be decompressed.
    IndexError if it is cut off.
    """
    position = 0
    while compressed[position] & 0x80:
        position += 1
    position += 1
    starts = [position]
    filled = 0  # bytes of the block that the elements so far give
    while position < len(compressed):
        if filled == BLOCK_SIZE:
            starts.append(position)
            filled = 0
        stored, given, distance = _element(compressed, position)
        if distance > filled or filled + given > BLOCK_SIZE:
            return None
        position += stored
        filled += given
    starts.append(position)
    return starts


def with_length(blocks: bytes, length: int) -> bytes:
    """The Snappy stream of these compressed blocks, which hold `length` bytes."""
    prefix = bytearray()
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= LENGTH_BITS
    prefix.append(length)
    return bytes(prefix) + blocks


def _element(compressed: bytes | memoryview, position: int) -> tuple[int, int, int]:
    """The bytes that an element takes, those that it gives, and how far back it copies from (0 for a literal)."""
    tag = compressed[position]
    kind = tag & 3
    number = tag >> 2
    if kind == 0:
        extra = max(number - 59, 0)
        if extra:
            number = int.from_bytes(compressed[position + 1 : position + 1 + extra], "little")
        return 1 + extra + number + 1, number + 1, 0
    if kind == 1:
        distance = (tag >> 5 << 8) + compressed[position + 1]
        return 2, (number & 7) + 4, distance
    width = 2 if kind == 2 else 4
    distance = int.from_bytes(compressed[position + 1 : position + 1 + width], "little")
    return 1 + width, number + 1, distance
