"""The files of a folder on this machine: replaced whole, and never written through a link that leads elsewhere."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.regular_file import open_without_links, read_regular_file

if TYPE_CHECKING:
    import pyarrow as pa

PART = ".part"  # how the names of hidden, unfinished files end


@dataclass(frozen=True)
class LocalFiles:
    """The files in `path`, which lies in `top`, the folder that the user named. Nothing is written outside of `top`."""

    path: Path
    top: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def parent(self) -> LocalFiles:
        return LocalFiles(self.path.parent, self.path.parent)

    def child(self, name: str) -> LocalFiles:
        return LocalFiles(self.path / name, self.top)

    def absolute(self) -> LocalFiles:
        return LocalFiles(self.path.absolute(), self.top.absolute())

    def confine(self) -> None:
        """ValueError if a symbolic link at or above `path` leads out of `top`."""
        if not self.path.resolve().is_relative_to(self.top.resolve()):
            raise ValueError(f"{self.path} leads out of {self.top}, by a symbolic link: nothing is written there")

    def make(self) -> None:
        """Make the folder, and remove what writers that were killed have left in it, see `remove_stale_parts`."""
        self.confine()
        self.path.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(self.path)

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        return read_regular_file(self.path / name, max_bytes)

    def read_all(self, names: Sequence[str], max_bytes: int | None = None) -> list[bytes]:
        return [self.read(name, max_bytes) for name in names]

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        self.confine()
        write_atomically(self.path / name, content)

    def exists(self, name: str) -> bool:
        return (self.path / name).exists()

    def entries(self) -> list[tuple[str, bool]]:
        """Each name in the folder and whether it is a folder; nothing where there is no such folder."""
        try:
            with os.scandir(self.path) as found:
                return [(entry.name, entry.is_dir()) for entry in found]
        except FileNotFoundError:
            return []

    def move(self, name: str, target: LocalFiles) -> None:
        self.confine()
        target.confine()
        (self.path / name).replace(target.path)

    def remove(self, name: str) -> None:
        self.confine()
        path = self.path / name
        with suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def free(self) -> int:
        """Bytes that are free on the disk, also where the folder is not made yet."""
        path = self.path.absolute()
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free


def write_atomically(path: Path, content: bytes | pa.Buffer) -> None:
    """Replace the file at `path` so that a crash at any time leaves the old content or the new.

    The content goes to a hidden file in the same folder, which is renamed. It has a name of its own, so that of two
    writers the one that ends last wins, and neither meets the other's bytes.
    """
    part = path.with_name(f".{os.getpid()}-{secrets.token_hex(6)}{PART}")
    descriptor = open_without_links(part, os.O_WRONLY | os.O_EXCL)
    try:
        _write_synced(descriptor, content)
        part.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to be told
            part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_stale_parts(folder: Path, older_than_seconds: float = 24 * 3600) -> None:
    """Remove the hidden files of writers that were killed, at most one for each kill.

    The age protects writers on other machines, of which nobody here knows whether they live: none writes for a day.
    """
    oldest = time.time() - older_than_seconds
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.name.startswith(".") and entry.name.endswith(PART)):
                continue
            with suppress(FileNotFoundError):  # its writer or another reader was faster
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)


def _write_synced(descriptor: int, content: bytes | pa.Buffer) -> None:
    """Write, wait for the disk, and close. A rename that the disk saw before the content would leave an empty file."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
