"""Errors of our own writes, told from errors of reading: a full disk ends a command, an unreadable image does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class WriteError(OSError):
    """Something that we keep could not be written. It has the errno, text and file name of the error that said so."""

    @classmethod
    def of(cls, error: OSError) -> WriteError:
        """The same error as one of writing."""
        if isinstance(error, cls):
            return error
        if error.errno is None:  # an object store's
            return cls(str(error))
        return cls(error.errno, error.strerror, error.filename)


@contextmanager
def as_write_error() -> Iterator[None]:
    """Raise every OSError from within as a WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError.of(error) from error
