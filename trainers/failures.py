"""Exceptions of a training as `Failure` values, sorted by kind."""

from __future__ import annotations

import traceback

import torch

from storage.folder import DISK_ERRORS
from trainers.trial_task import Failure


def failure_from(error: BaseException) -> Failure:
    """The failure that `error` stands for, with its traceback as text.

    A disk error counts as one even where another exception was raised because of it.
    """
    text = "".join(traceback.format_exception(error))
    disk_error = _find_disk_error(error)
    if disk_error is not None:
        return Failure("disk", _message(disk_error), text, disk_error.errno)
    if isinstance(error, torch.OutOfMemoryError):
        return Failure("memory", _message(error), text)
    if isinstance(error, OSError):
        return Failure("input", _message(error), text, error.errno)
    if isinstance(error, ValueError):
        return Failure("input", _message(error), text)
    return Failure("error", _message(error), text)


def _find_disk_error(error: BaseException) -> OSError | None:
    """The first error of a full, failing or read-only disk among `error` and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
            return cause
        hidden = cause.__suppress_context__
        cause = cause.__cause__ if hidden else cause.__context__
    return None


def _message(error: BaseException) -> str:
    """The text of an exception; of an OSError without the number, which `Failure.errno` holds."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        return text.removeprefix(f"[Errno {error.errno}] ")
    return text
