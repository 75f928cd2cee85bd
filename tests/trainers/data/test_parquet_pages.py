"""The index of images against pyarrow's own reading of the same files."""

import io
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainers.data.parquet_pages import ColumnChunk, decode_runs, locate_values
from trainers.data.snappy_blocks import with_length

# Of random sizes up to some blocks of Snappy's, two of them empty, some of them twice, partly compressible.
GENERATOR = np.random.default_rng(0)
VALUES = [GENERATOR.bytes(size) + b"abcd" * (size // 9) for size in GENERATOR.integers(1, 90_000, 40)]
VALUES = [b"", *VALUES, *VALUES[:5], b""]


def locate(content, column=0, group=0):
    opened = pq.ParquetFile(io.BytesIO(content))
    metadata = opened.metadata.row_group(group).column(column)
    offset = metadata.data_page_offset
    if metadata.has_dictionary_page:
        offset = min(offset, metadata.dictionary_page_offset)
    chunk = ColumnChunk(
        offset=offset,
        size=metadata.total_compressed_size,
        full_size=metadata.total_uncompressed_size,
        num_values=metadata.num_values,
        codec=metadata.compression,
        max_level=opened.schema.column(column).max_definition_level,
    )
    return locate_values(content[offset : offset + chunk.size], chunk), chunk.codec


def value_at(content, location, codec):
    stored = content[location.offset : location.offset + location.stored]
    if codec == "SNAPPY":
        stored = with_length(stored, location.full)
    full = (
        stored if codec == "UNCOMPRESSED" else pa.decompress(stored, location.full, codec=codec.lower(), asbytes=True)
    )
    return full[location.skip : location.skip + location.size]


def written(values, **options):
    file = io.BytesIO()
    table = pa.table({"image": pa.array([{"bytes": value, "path": None} for value in values])})
    pq.write_table(table, file, **options)
    return file.getvalue()


OPTIONS = [*product(["NONE", "SNAPPY"], [False, True], ["1.0", "2.0"])]
OPTIONS += [("ZSTD", False, "1.0"), ("GZIP", True, "1.0"), ("BROTLI", False, "2.0")]


@pytest.mark.parametrize(("codec", "dictionary", "version"), OPTIONS)
def test_every_value_is_found_alone(codec, dictionary, version):
    options = {"compression": codec, "use_dictionary": dictionary, "data_page_version": version}
    if codec not in ("NONE", "SNAPPY"):
        options["compression_level"] = 1
    content = written(VALUES, write_batch_size=7, data_page_size=200_000, **options)
    locations, codec = locate(content)
    assert [value_at(content, location, codec) for location in locations] == VALUES


def test_an_image_in_snappy_is_found_with_its_blocks_alone():
    content = written(VALUES, compression="SNAPPY", use_dictionary=False)
    locations, _ = locate(content)
    assert max(location.full for location in locations) <= 3 * 2**16  # of a page of 3 MB
    assert sum(len(value) for value in VALUES) > 2**21


def test_a_column_that_is_never_null_has_no_levels():
    schema = pa.schema([pa.field("image", pa.binary(), nullable=False)])
    file = io.BytesIO()
    pq.write_table(pa.table({"image": VALUES}, schema=schema), file)
    locations, codec = locate(file.getvalue())
    assert [value_at(file.getvalue(), location, codec) for location in locations] == VALUES


def test_damaged_pages_are_refused():
    """Never another exception, and no endless loop: one line names the file."""
    content = written([b"abc", b"defg"] * 4, compression="SNAPPY")
    locations, _ = locate(content)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for position in generator.integers(4, locations[-1].offset + 60, 3):
            damaged[position] = generator.integers(256)
        try:
            locate(bytes(damaged))
        except (ValueError, OSError):
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "bits", "expected"),
    [
        (b"\x0e\x02", 2, [2] * 7),  # seven times 2
        (b"\x03\x88\xc6\xfa", 3, [0, 1, 2, 3, 4, 5, 6, 7]),  # the example of Parquet's own documentation
        (b"\x04\x01\x03\x02", 1, [1, 1, 0, 1, 0, 0, 0, 0]),
        (b"", 0, [0, 0, 0]),
    ],
)
def test_runs_are_decoded(content, bits, expected):
    assert decode_runs(content, bits, len(expected)).tolist() == expected
