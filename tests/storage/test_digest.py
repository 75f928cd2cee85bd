from storage.digest import digest


def test_the_digest_is_blake2b_of_16_bytes():
    """The value stands in existing checkpoints and Parquet files: a change makes them all unreadable."""
    assert digest(b"") == "cae66941d9efbd404e4d88758ea67670"
