"""The private folder of a Ray that this command starts: its sockets, its logs and its token."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

# The path of a socket has at most 107 bytes. Ray appends up to 66 to its folder, our name has 12. The loader processes
# of a trial make theirs in TMPDIR too, with 32 bytes.
LONGEST_FOR_RAY = 107 - 66 - 12
LONGEST_FOR_LOADERS = 107 - 32
SHORT_FOLDER = "/tmp"  # noqa: S108  # used by name only: a new folder with a random name is made in it


def make_session_folder() -> Path:
    """A folder that only this user may enter. Ray makes what it puts there writable for everybody, so this one is not.

    It lies in TMPDIR, or in /tmp where TMPDIR is too long for Ray's sockets. ValueError in one line if TMPDIR is too
    long for all sockets, or if no folder can be made.
    """
    parent = tempfile.gettempdir()
    length = len(os.fsencode(parent))
    if length > LONGEST_FOR_LOADERS:
        limit = f"expected at most {LONGEST_FOR_LOADERS}, for sockets are made in it"
        raise ValueError(f"TMPDIR has {length} bytes, {limit}: {parent:.60}")
    if length > LONGEST_FOR_RAY:
        parent = SHORT_FOLDER
    try:
        return Path(tempfile.mkdtemp(prefix="sk-", dir=parent))
    except OSError as error:
        raise ValueError(f"no folder for temporary files can be made in {parent}: {error.strerror}") from error


def remove_session_folder(folder: Path, *, attempts: int = 20) -> None:
    """Remove the folder with all that is in it. Ray's processes end by and by, and may write until then."""
    for _ in range(attempts):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def give_token(folder: Path) -> str:
    """Let this process and those that it starts use a token of their own; returns where a person can read it.

    A token that the user's environment names is kept. Otherwise Ray would write one to the home folder, where everybody
    may read it. Ours lies in `folder`, and its file can be read by its owner alone.
    """
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if variable in os.environ:
            return f"in {variable}"
    token = secrets.token_hex(32)
    os.environ["RAY_AUTH_TOKEN"] = token
    file = folder / "token"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(token)
    return f"in {file}"


def withdraw_token(folder: Path) -> None:
    """Forget the token that `give_token` made in this folder. One of the user's own is kept."""
    if (folder / "token").exists():
        os.environ.pop("RAY_AUTH_TOKEN", None)
