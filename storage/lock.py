"""One process at a time runs a study: by a file lock on this machine, by a lease on an object store."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.folder import Folder
from storage.lease import Lease
from storage.owner import Owner, StudyBusyError
from storage.regular_file import open_without_links
from storage.write_error import as_write_error


@contextmanager
def study_lock(study: str, folder: Folder) -> Iterator[None]:
    """Hold the study in `folder` for this process.

    StudyBusyError if a living process holds it, WriteError if it cannot be written. The lock of a dead process ends: on
    this machine at once, on an object store after a minute.
    """
    if folder.path:
        with _file_lock(study, folder.path / ".lock"):
            yield
        return
    lease = Lease(study, folder)
    lease.acquire()
    try:
        yield
    finally:
        lease.release()


@contextmanager
def wait_for_lock(folder: Folder) -> Iterator[None]:
    """Write in `folder` alone, after whoever does so now. On an object store nobody waits: the last writer wins."""
    if folder.path is None:
        yield
        return
    with as_write_error():
        descriptor = open_without_links(folder.path / ".lock", os.O_WRONLY)
    with os.fdopen(descriptor, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _file_lock(study: str, file: Path) -> Iterator[None]:
    """A lock that the operating system ends with its process; the file says who holds it."""
    with as_write_error():
        descriptor = open_without_links(file, os.O_RDWR | os.O_APPEND)
    with os.fdopen(descriptor, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StudyBusyError(f"study {study!r} is being run by {lock.read().strip()}") from None
        if os.fstat(lock.fileno()).st_nlink == 1:  # with a second name, it may be somebody's file
            with as_write_error():
                lock.truncate(0)
                lock.write(str(Owner.this_process()))
                lock.flush()
        yield
