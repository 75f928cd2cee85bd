import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.digest import digest
from storage.parquet_checksum import add_checksum, verify_checksum


@pytest.fixture
def plain():
    """A Parquet file without a checksum."""
    target = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1, 2, 3]}), target)
    return target.getvalue().to_pybytes()


def test_a_file_with_a_checksum_reads_the_same(plain):
    assert pq.read_table(pa.BufferReader(add_checksum(plain))).to_pydict() == {"x": [1, 2, 3]}


def test_the_raw_digest_of_all_other_bytes_is_stored(plain):
    content = add_checksum(plain)
    assert len(content) == len(plain) + 24
    assert b"blake2b:" + bytes.fromhex(digest(plain)) in content


def test_a_file_as_it_was_written_passes(plain):
    verify_checksum(add_checksum(plain))


def test_a_file_without_a_checksum_passes(plain):
    verify_checksum(plain)
    verify_checksum(b"")


def test_every_flipped_byte_before_the_footer_length_is_found(plain):
    content = add_checksum(plain)
    marker = content.index(b"blake2b:")
    for index in [*range(marker), *range(marker + 8, len(content) - 8)]:
        changed = bytearray(content)
        changed[index] ^= 1
        with pytest.raises(ValueError, match="not those that were written"):
            verify_checksum(bytes(changed))
