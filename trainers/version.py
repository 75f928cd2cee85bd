"""Which code this is: a fingerprint of what trains, and the commit."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from searchspace import own

AFTERWARDS = {"__main__", "card", "export", "onnx_file", "restore", "validate"}  # modules that train nothing
ROOT = Path(__file__).parents[1]


def code() -> str:
    """Eight hexadecimal digits that change when any module that trains does, or the file of one's own space."""
    return hashlib.sha256(_sources() + (own.fingerprint() or "").encode()).hexdigest()[:8]


@cache
def _sources() -> bytes:
    files = sorted(file for room in ("searchspace", "trainers") for file in (ROOT / room).glob("*.py"))
    files = [file for file in files if file.stem not in AFTERWARDS]
    return b"".join(file.name.encode() + file.read_bytes() for file in files)


@cache
def commit() -> str:
    """The commit of this code, with + if it has local changes; empty outside a repository."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git here
        return ""
