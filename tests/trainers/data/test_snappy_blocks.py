"""Blocks of Snappy streams, decompressed by pyarrow."""

import numpy as np
import pyarrow as pa

from trainers.data.snappy_blocks import BLOCK_SIZE, block_starts, with_length

GENERATOR = np.random.default_rng(0)
CONTENT = b"".join(GENERATOR.bytes(700) + b"abc" * int(GENERATOR.integers(200)) for _ in range(300))


def decompress(stream, length):
    return pa.decompress(stream, length, codec="snappy", asbytes=True)


def test_each_block_can_be_decompressed_alone():
    stream = pa.compress(CONTENT, codec="snappy", asbytes=True)
    starts = block_starts(stream)
    assert len(starts) == len(CONTENT) // BLOCK_SIZE + 2
    for number in range(len(starts) - 1):
        expected = CONTENT[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE]
        blocks = stream[starts[number] : starts[number + 1]]
        assert decompress(with_length(blocks, len(expected)), len(expected)) == expected


def test_a_copy_from_an_earlier_block_prevents_it():
    literal = b"\xf4\xff\xff" + CONTENT[:BLOCK_SIZE]  # a length of 2**16 in two bytes, less one
    stream = with_length(literal + b"\x0e\x00\x80", BLOCK_SIZE + 4)  # and four bytes from 2**15 bytes before
    assert decompress(stream, BLOCK_SIZE + 4)[-4:] == CONTENT[BLOCK_SIZE // 2 :][:4]
    assert block_starts(stream) is None


def test_an_empty_stream_has_one_empty_block():
    assert block_starts(b"\x00") == [1, 1]
