"""Objects under a prefix of an object store, addressed by a URI that pyarrow knows, such as `s3://bucket/prefix`.

An object appears whole when its upload ends, so that a crash leaves the old content or the new.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import quote, unquote, urlsplit

from storage.regular_file import check_size

if TYPE_CHECKING:  # loaded on use: --help should not wait for pyarrow
    import pyarrow as pa
    from pyarrow.fs import FileSystem

R = TypeVar("R")


@dataclass(frozen=True)
class RetrySettings:
    """How long a store that does not answer is waited for."""

    attempts: int = 4  # of one request to S3: about 14 s until a server that does not answer is given up
    outage_seconds: float = 300.0  # in all, for a store that has answered this process before
    pause_seconds: float = 5.0  # between requests during an outage


RETRY = RetrySettings()
_answered: set[tuple[str, str, int]] = set()  # stores that have answered: place, query, and process that asked


@dataclass(frozen=True)
class StoredObjects:
    """The objects whose keys begin with `prefix` on one store. All fields are text, so that it survives a fork."""

    path: ClassVar[None] = None  # there is no local path, see LocalFiles

    place: str  # scheme and bucket, "s3://bucket"
    prefix: str  # quoted as in a URI, without slashes at its ends
    query: str  # pyarrow's options

    @staticmethod
    def at(uri: str) -> StoredObjects:
        """ValueError in one line if pyarrow does not know such a URI. Nothing is asked of the store."""
        _check_uri(uri)
        parts = urlsplit(uri)
        return StoredObjects(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/"), parts.query)

    def __str__(self) -> str:
        """The URI with its query."""
        uri = f"{self.place}/{self.prefix}".rstrip("/")
        return f"{uri}?{self.query}" if self.query else uri

    @property
    def name(self) -> str:
        return unquote(self.prefix.rpartition("/")[2])

    @property
    def parent(self) -> StoredObjects:
        return replace(self, prefix=self.prefix.rpartition("/")[0])

    def child(self, name: str) -> StoredObjects:
        return replace(self, prefix=f"{self.prefix}/{quote(name)}".lstrip("/"))

    def absolute(self) -> StoredObjects:
        return self

    def confine(self) -> None:
        """Nothing to check: an object store has no links."""

    def make(self) -> None:
        """Nothing to do: an object store has no folders."""

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        return self._request(lambda store, path: _get(store, path, max_bytes), name)

    def read_all(self, names: Sequence[str], max_bytes: int | None = None, threads: int = 16) -> list[bytes]:
        """Several objects, in order. Each costs a round trip or two, so they are read side by side."""
        if len(names) < 2:
            return [self.read(name, max_bytes) for name in names]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda name: self.read(name, max_bytes), names))

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        self._request(lambda store, path: _put(store, path, content), name)

    def exists(self, name: str) -> bool:
        return self._request(_exists, name)

    def entries(self) -> list[tuple[str, bool]]:
        """Each name below the prefix and whether it is a folder; nothing where there is no such prefix."""
        return self._request(_list)

    def move(self, name: str, target: StoredObjects) -> None:
        """Copy, then delete: a store has no renames."""

        def work(store: FileSystem, path: str) -> None:
            root = path.removesuffix(self._path("", name))
            _move(store, path, target._path(root, ""))

        self._request(work, name)

    def remove(self, name: str) -> None:
        self._request(_delete, name)

    def free(self) -> int | None:
        """None: nobody knows."""
        return None

    def _request(self, work: Callable[[FileSystem, str], R], name: str = "") -> R:
        """The result of `work`, called with the store and the path of `name` there.

        Every error is an OSError of one line, a TimeoutError if the store is away. A store that has answered this
        process before is waited for; one that never has is an error at once.
        """
        import pyarrow as pa

        address = (self.place, self.query, os.getpid())
        deadline = time.monotonic()
        if address in _answered:
            deadline += RETRY.outage_seconds
        while True:
            try:
                store, root = _connect(*address)
                result = work(store, self._path(root, name))
            except FileNotFoundError:
                raise FileNotFoundError(f"no {name or 'such folder'} in {self}") from None
            except (OSError, pa.ArrowException) as error:
                if not _may_pass(error):
                    raise OSError(f"{self}: {_first_line(error)}") from error
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self}: {_first_line(error)}") from error
            else:
                _answered.add(address)
                return result
            time.sleep(RETRY.pause_seconds)

    def _path(self, root: str, name: str) -> str:
        """The path, as pyarrow's file system spells it, of `name` or of the prefix itself."""
        parts = [unquote(self.prefix), name]
        return "/".join([root, *filter(None, parts)])


def _get(store: FileSystem, path: str, max_bytes: int | None) -> bytes:
    with store.open_input_file(path) as file:
        check_size(file.size(), max_bytes)  # no further request: reading asks for the size as well
        return file.read()


def _put(store: FileSystem, path: str, content: bytes | pa.Buffer) -> None:
    stream = store.open_output_stream(path)
    stream.write(content)
    stream.close()  # makes the object appear, and is not reached where writing failed


def _exists(store: FileSystem, path: str) -> bool:
    return bool(store.get_file_info(path).type)


def _list(store: FileSystem, path: str) -> list[tuple[str, bool]]:
    from pyarrow.fs import FileSelector

    found = store.get_file_info(FileSelector(path, allow_not_found=True))
    return [(info.base_name, not info.is_file) for info in found]


def _move(store: FileSystem, path: str, target: str) -> None:
    from pyarrow.fs import FileSelector

    if store.get_file_info(path).is_file:
        store.move(path, target)
        return
    for info in store.get_file_info(FileSelector(path, recursive=True)):
        if info.is_file:
            store.move(info.path, f"{target}{info.path.removeprefix(path)}")
    store.delete_dir(path)  # some stores keep an empty object in place of a folder


def _delete(store: FileSystem, path: str) -> None:
    info = store.get_file_info(path)
    if info.is_file:
        store.delete_file(path)
    elif info.type:
        store.delete_dir(path)


@cache
def _connect(place: str, query: str, process: int) -> tuple[FileSystem, str]:
    """The file system of a store and the path of its root there. One for each process: none survives a fork."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem

    if place.startswith(("gs://", "gcs://")) and "retry_limit_seconds=" not in query:
        query = f"{query}&retry_limit_seconds=3".lstrip("&")  # otherwise pyarrow asks for credentials for 15 minutes
    store, root = FileSystem.from_uri(f"{place}?{query}" if query else place)
    if place.startswith("s3://"):
        # A URI has no options for these. Without them, a server that does not answer is noticed after 100 s, and
        # opening a small object takes three requests instead of one.
        make, (options,) = store.__reduce__()
        retries = AwsStandardS3RetryStrategy(max_attempts=RETRY.attempts)
        store = make({**options, "connect_timeout": 3, "retry_strategy": retries, "allow_delayed_open": True})
    return store, root.rstrip("/")


def _check_uri(uri: str) -> None:
    """ValueError in one line for a URI that pyarrow cannot make a file system of."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    parts = urlsplit(uri)
    if not parts.netloc:
        raise ValueError(f"{uri}: expected a bucket after {parts.scheme}://")
    complete = uri
    if parts.scheme == "s3" and "region=" not in parts.query:  # without a region pyarrow would ask the bucket for it
        complete = f"{uri}{'&' if parts.query else '?'}region=us-east-1"
    try:
        FileSystem.from_uri(complete)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{uri}: {_first_line(error)}") from error


def _may_pass(error: Exception) -> bool:
    """Whether pyarrow's error is of a store that is away or overloaded, not of a wrong request."""
    codes = "NETWORK_CONNECTION|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|TIMEOUT|INTERNAL_FAILURE|status 5\\d\\d"
    return re.search(codes, str(error)) is not None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
