"""Where a study lies: a folder on this machine, or one on an object store by URI, such as `s3://bucket/prefix`."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:  # loaded on use: --help should not wait for it
    import pyarrow as pa
    from pyarrow.fs import FileSystem

R = TypeVar("R")

AT_A_TIME = 16  # objects that are read side by side: each costs a round trip or two
ATTEMPTS = 4  # of a request to S3: 14 s until a server that does not answer is given up
PATIENCE, PAUSE = 300.0, 5.0  # seconds that a store which was there before is waited for, and between questions
PASSING = re.compile(
    r"NETWORK_CONNECTION|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|TIMEOUT|INTERNAL_FAILURE|status 5\d\d"
)
# Of a disk that is full, fails or may not be written.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_reached: set[tuple[str, str, int]] = set()  # stores that have answered, by place, query and process


class Folder:
    """A folder on this machine or, by URI, on an object store.

    Files are bytes and are replaced whole; a crash leaves the old one or the new one. Only text is kept, so that a
    folder can be pickled and used after a fork.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        """`where`: a path, or a URI that pyarrow knows; ValueError in one line for one that it does not."""
        text = os.fspath(where)
        self.path: Path | None = None  # None on an object store
        if "://" not in text:
            self.path = self._top = Path(text)
        elif text.startswith("file://"):
            if host := urlsplit(text).netloc:
                raise ValueError(f"{text}: a file:// URI names no host, here {host!r}")
            self.path = self._top = Path(unquote(urlsplit(text).path))
        else:
            _check(text)
            parts = urlsplit(text)
            self._place, self._below, self._query = (
                f"{parts.scheme}://{parts.netloc}",
                parts.path.strip("/"),
                parts.query,
            )

    @property
    def name(self) -> str:
        return self.path.name if self.path else unquote(self._below.rpartition("/")[2])

    @property
    def parent(self) -> Folder:
        return Folder(self.path.parent) if self.path else self._at(self._below.rpartition("/")[0])

    def __truediv__(self, name: str) -> Folder:
        """A folder or file in it; ValueError for a name that would lead elsewhere."""
        _check_name(name)
        if self.path:
            return self._within(self.path / name, self._top)
        return self._at(f"{self._below}/{quote(name)}".lstrip("/"))

    def __str__(self) -> str:
        """What can be given back: the path, or the URI with its query."""
        if self.path:
            return str(self.path)
        return f"{self._place}/{self._below}".rstrip("/") + (f"?{self._query}" if self._query else "")

    def __repr__(self) -> str:
        return f"Folder({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def absolute(self) -> Folder:
        """Without the working directory in it."""
        return self._within(self.path.absolute(), self._top.absolute()) if self.path else self

    def make(self) -> None:
        """With its parents, if it is not there. An object store has no folders to make."""
        if self.path:
            self.confine()
            self.path.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        """FileNotFoundError where there is none, OSError where it cannot be read."""
        if self.path:
            return (self.path / name).read_bytes()
        return self._ask(_get, name)

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Several files, in order; from an object store several at a time."""
        if self.path or len(names) < 2:
            return [self.read(name) for name in names]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return list(pool.map(self.read, names))

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Replace a file whole, in a folder that was made. OSError if it cannot be written."""
        _check_name(name)
        if self.path:
            self.confine()
            return _commit(self.path / name, content)
        self._ask(lambda store, path: _put(store, path, content), name)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        if self.path:
            return (self.path / name).exists()
        return self._ask(lambda store, path: bool(store.get_file_info(path).type), name)

    def names(self, suffix: str = "") -> list[str]:
        """Its files, sorted, without hidden ones; none where there is no such folder."""
        return sorted(name for name, folder in self._entries() if not folder and name.endswith(suffix))

    def folders(self) -> list[str]:
        """The folders in it, sorted, without hidden ones; none where there is no such folder."""
        return sorted(name for name, folder in self._entries() if folder)

    def remove(self, name: str) -> None:
        """A file, or a folder with all that is in it; nothing where there is none."""
        _check_name(name)
        if self.path:
            self.confine()
            return _remove(self.path / name)
        self._ask(_delete, name)

    def free(self) -> int | None:
        """Bytes that are free on its disk; None on an object store."""
        if not self.path:
            return None
        whole = self.path.absolute()
        return shutil.disk_usage(next(path for path in (whole, *whole.parents) if path.exists())).free

    def _within(self, path: Path, top: Path) -> Folder:
        """Another folder below the same one that a user named."""
        folder = Folder(path)
        folder._top = top
        return folder

    def confine(self) -> None:
        """ValueError if a symbolic link below the folder that the user named leads out of it."""
        if self.path and not self.path.resolve().is_relative_to(self._top.resolve()):
            raise ValueError(f"{self.path} leads out of {self._top}, by a symbolic link: nothing is written there")

    def _at(self, below: str) -> Folder:
        """Another folder of the same store."""
        folder = Folder.__new__(Folder)
        folder.path, folder._place, folder._below, folder._query = None, self._place, below, self._query
        return folder

    def _entries(self) -> list[tuple[str, bool]]:
        """What is in it and not hidden, and whether that is a folder."""
        found = [(e.name, e.is_dir()) for e in _scan(self.path)] if self.path else self._ask(_list)
        return [entry for entry in found if entry[0][0] != "."]

    def _ask(self, work: Callable[[FileSystem, str], R], name: str = "") -> R:
        """Do it with the store and the path there of a file; whatever goes wrong is an OSError of one line.

        A store that was there when this process first asked is waited for; one that never was is an error at once.
        """
        import pyarrow as pa

        place = self._place, self._query, os.getpid()
        until = time.monotonic() + (PATIENCE if place in _reached else 0)
        while True:
            try:
                store, root = _connect(*place)
                answer = work(store, "/".join([root, *filter(None, (unquote(self._below), name))]))
                _reached.add(place)
                return answer
            except FileNotFoundError:
                raise FileNotFoundError(f"no {name or 'such folder'} in {self}") from None
            except (OSError, pa.ArrowException) as error:
                if not PASSING.search(str(error)) or time.monotonic() > until:
                    raise OSError(f"{self}: {str(error).splitlines()[0]}") from error
            time.sleep(PAUSE)


def _get(store: FileSystem, path: str) -> bytes:
    with store.open_input_file(path) as file:
        return file.read()


def _put(store: FileSystem, path: str, content: bytes | pa.Buffer) -> None:
    stream = store.open_output_stream(path)
    stream.write(content)
    stream.close()  # makes the object appear, and is not reached where writing failed


def _list(store: FileSystem, path: str) -> list[tuple[str, bool]]:
    from pyarrow.fs import FileSelector

    return [
        (info.base_name, not info.is_file) for info in store.get_file_info(FileSelector(path, allow_not_found=True))
    ]


def _delete(store: FileSystem, path: str) -> None:
    info = store.get_file_info(path)
    if info.is_file:
        store.delete_file(path)
    elif info.type:
        store.delete_dir(path)


@cache
def _connect(place: str, query: str, process: int) -> tuple[FileSystem, str]:
    """The file system of a URI and the path of its root there. One for each process: none survives a fork."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem

    store, root = FileSystem.from_uri(f"{place}?{query}" if query else place)
    if place.startswith("s3://"):
        # A URI has no words for patience: without these, a server that does not answer is noticed after 100 s.
        make, (options,) = store.__reduce__()
        patience = {"connect_timeout": 3, "retry_strategy": AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)}
        # Delayed: one request for a small object instead of three.
        store = make({**options, **patience, "allow_delayed_open": True})
    return store, root.rstrip("/")


def _check(uri: str) -> None:
    """ValueError in one line for a URI that pyarrow cannot make a file system of. Asks nothing of the store."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    parts = urlsplit(uri)
    if not parts.netloc:
        raise ValueError(f"{uri}: expected a bucket after {parts.scheme}://")
    # Without a region pyarrow would ask the bucket for it.
    asks = parts.scheme == "s3" and "region=" not in parts.query
    try:
        FileSystem.from_uri(f"{uri}{'&' if parts.query else '?'}region=us-east-1" if asks else uri)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{uri}: {str(error).splitlines()[0]}") from error


def _check_name(name: str) -> None:
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"bad name {name!r:.60}, expected one of a file or folder")


def open_own(path: Path, flags: int) -> int:
    """Open or make a file, never by a symbolic link, which may lead anywhere. A descriptor, or OSError."""
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _commit(path: Path, content: bytes | pa.Buffer) -> None:
    """Put `content` at `path` so that a crash leaves the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(open_own(part, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _scan(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
