"""The exit code of each kind of error that ends a command in one line."""

from __future__ import annotations

from storage.folder import DISK_ERRORS
from storage.owner import StudyBusyError
from storage.plain_text import printable
from storage.write_error import WriteError


class CodeChangedError(ValueError):
    """The code that trains is not the code that the study began with; the text names both."""


def exit_code(error: Exception) -> int:
    """4 if another process runs the study, 3 if the disk that is written to is full or fails, 2 for wrong input.

    Others are raised again. A disk that fails when something is read, such as an image, is wrong input.
    """
    if isinstance(error, StudyBusyError):
        return 4
    if isinstance(error, WriteError) and error.errno in DISK_ERRORS:
        return 3
    if isinstance(error, ValueError | OSError):
        return 2
    raise error


def describe(error: Exception) -> str:
    """One line that says what is wrong."""
    lines = str(error).splitlines() or [type(error).__name__]
    prefix = "" if isinstance(error, StudyBusyError) else "error: "
    return printable(f"orchestrate.py: {prefix}{lines[0]}")
