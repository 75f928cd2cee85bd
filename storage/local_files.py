"""The files of a folder on this machine: replaced whole, and never written through a link that leads elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


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
        self.confine()
        self.path.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        return [self.read(name) for name in names]

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

    The content goes to a hidden file in the same folder, which is renamed. Both are synced: a rename that reaches the
    disk before the content would leave an empty file after a power failure.
    """
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(open_without_links(part, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_without_links(path: Path, flags: int) -> int:
    """The descriptor of a file, opened or made; OSError if `path` is a symbolic link, which may lead anywhere."""
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
