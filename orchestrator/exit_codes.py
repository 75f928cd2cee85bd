"""The exit code of each kind of error that ends a command in one line."""

from __future__ import annotations

from storage.folder import DISK_ERRORS
from storage.owner import StudyBusyError

EXPECTED_ERRORS = (StudyBusyError, ValueError, OSError)


def exit_code(error: Exception) -> int:
    """4 if another process runs the study, 3 if a disk is full or fails, 2 for wrong input."""
    if isinstance(error, StudyBusyError):
        return 4
    return 3 if getattr(error, "errno", None) in DISK_ERRORS else 2


def describe(error: Exception) -> str:
    """One line that says what is wrong."""
    lines = str(error).splitlines() or [type(error).__name__]
    prefix = "" if isinstance(error, StudyBusyError) else "error: "
    return f"orchestrate.py: {prefix}{lines[0]}"
