"""A folder on this machine or on an object store, which everything that is kept is read from and written to."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from storage.local_files import LocalFiles
from storage.object_store import StoredObjects
from storage.write_error import as_write_error

if TYPE_CHECKING:  # loaded on use: --help should not wait for pyarrow
    import pyarrow as pa

# The errno of a WriteError of a disk that is full, over quota, read-only or failing.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Folder:
    """A folder, given by its path or by its URI on an object store.

    Files are bytes and are replaced whole: a crash leaves the old content or the new. A folder holds text only, so
    that it can be pickled and used after a fork.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        """`where`: a path, or a URI that pyarrow knows; ValueError in one line for one that it does not."""
        self._files = _open(os.fspath(where))

    @property
    def path(self) -> Path | None:
        """The local path; None on an object store."""
        return self._files.path

    @property
    def name(self) -> str:
        return self._files.name

    @property
    def parent(self) -> Folder:
        return _folder(self._files.parent)

    def __truediv__(self, name: str) -> Folder:
        """A folder or file in it; ValueError for a name that would lead elsewhere."""
        _check_name(name)
        return _folder(self._files.child(name))

    def __str__(self) -> str:
        """The path, or the URI with its query: `Folder(str(folder)) == folder`."""
        return str(self._files)

    def __repr__(self) -> str:
        return f"Folder({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def absolute(self) -> Folder:
        """The same folder, whatever the working directory."""
        return _folder(self._files.absolute())

    def make(self) -> None:
        """Make the folder with its parents, if it is not there; WriteError if not. An object store needs none."""
        with as_write_error():
            self._files.make()

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """The content of a file; FileNotFoundError if there is none, OSError if it cannot be read.

        UnusableFileError, a ValueError, if it is no regular file or larger than `max_bytes`.
        """
        _check_name(name)
        return self._files.read(name, max_bytes)

    def read_all(self, names: Sequence[str], max_bytes: int | None = None) -> list[bytes]:
        """The contents of several files, in order; from an object store several at a time."""
        return self._files.read_all(names, max_bytes)

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Replace a file whole, in a folder that was made. WriteError if it cannot be written."""
        _check_name(name)
        with as_write_error():
            self._files.write(name, content)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        return self._files.exists(name)

    def names(self, suffix: str = "") -> list[str]:
        """The files in it, sorted, without hidden ones; none where there is no such folder."""
        found = [name for name, is_folder in self._files.entries() if not is_folder and name.endswith(suffix)]
        return _visible(found)

    def folders(self) -> list[str]:
        """The folders in it, sorted, without hidden ones; none where there is no such folder."""
        return _visible([name for name, is_folder in self._files.entries() if is_folder])

    def move(self, name: str, target: Folder) -> None:
        """Make the file or folder `name` the one that `target` names, in the same study and in a folder that was made.

        On this machine it is renamed, so that it need not be readable.
        """
        _check_name(name)
        self._files.move(name, target._files)  # type: ignore[arg-type]  # both lie in one place

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, if there is one; WriteError if it cannot be removed."""
        _check_name(name)
        with as_write_error():
            self._files.remove(name)

    def free(self) -> int | None:
        """Bytes that are free on its disk; None on an object store."""
        return self._files.free()

    def confine(self) -> None:
        """ValueError if a symbolic link leads out of the folder that the user named."""
        self._files.confine()


def _open(where: str) -> LocalFiles | StoredObjects:
    if "://" not in where:
        path = Path(os.path.expanduser(where))  # a shell leaves the ~ of --results=~/x alone
        return LocalFiles(path, path)
    if not where.startswith("file://"):
        return StoredObjects.at(where)
    parts = urlsplit(where)
    if parts.netloc:
        raise ValueError(f"{where}: a file:// URI names no host, here {parts.netloc!r}")
    path = Path(unquote(parts.path))
    return LocalFiles(path, path)


def _folder(files: LocalFiles | StoredObjects) -> Folder:
    folder = Folder.__new__(Folder)
    folder._files = files
    return folder


def _check_name(name: str) -> None:
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"bad name {name!r:.60}, expected one of a file or folder")


def _visible(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))
