"""Opens and reads regular files, and nothing else: a FIFO would be waited for without end, a device has none."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

STALE_PAUSES = (0.2, 0.4, 0.8)  # seconds: an NFS server that starts again, or a file that another client has replaced


class UnusableFileError(ValueError):
    """What stands at a path is no regular file, or larger than anything that this code writes there."""


def read_regular_file(path: Path, max_bytes: int | None = None) -> bytes:
    """The content of the file at `path`, also through a symbolic link.

    UnusableFileError if it is no regular file or larger than `max_bytes`: it is not read then. OSError if it is missing
    or cannot be read.
    """
    for pause in STALE_PAUSES:
        try:
            return _read(path, max_bytes)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        time.sleep(pause)
    return _read(path, max_bytes)


def open_without_links(path: Path, flags: int) -> int:
    """The descriptor of a regular file, opened or made, for writing.

    OSError if `path` is a symbolic link, which may lead anywhere, or no regular file.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a FIFO that nobody reads
            raise _no_regular_file(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_regular_file(path)
    return descriptor


def check_size(size: int, max_bytes: int | None) -> None:
    """UnusableFileError if a file of `size` bytes is larger than `max_bytes`."""
    if max_bytes is not None and size > max_bytes:
        raise UnusableFileError(f"{size:,} bytes, expected at most {max_bytes:,}")


def _read(path: Path, max_bytes: int | None) -> bytes:
    try:  # Without O_NONBLOCK, opening a FIFO waits for its writer. It changes nothing for regular files.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        leads_nowhere = error.errno == errno.ENOENT and path.is_symlink()
        if leads_nowhere or error.errno in (errno.ENXIO, errno.ENODEV, errno.ELOOP):  # a socket, a link to itself
            raise UnusableFileError("no regular file") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UnusableFileError("no regular file")
        check_size(found.st_size, max_bytes)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(found.st_size + 1)
    finally:
        os.close(descriptor)
    if len(content) != found.st_size:  # ours are replaced whole; those in /proc say 0
        raise UnusableFileError("its size changed while it was read")
    return content


def _no_regular_file(path: Path) -> OSError:
    return OSError(errno.EINVAL, "no regular file: nothing is written there", str(path))
