"""Exceptions of a training as `Failure` values, sorted by kind."""

from __future__ import annotations

import errno
import re
import shutil
import traceback
from collections.abc import Iterator

import torch

from storage.write_error import WriteError
from trainers.data.decoding import ImageReadError
from trainers.trial_task import Failure, FailureKind

# Only a write can meet these, so they are a disk's also where the write was not ours (torch's caches, /tmp).
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

# A disk, a network file system or a connection failed while something was read: it may work again.
UNREADABLE = (
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.ECONNABORTED,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EREMOTEIO,
    errno.ENODEV,
    errno.ENXIO,
)

# PyTorch, Triton, cuBLAS, cuDNN and NCCL say what went wrong as the text of a RuntimeError, and nowhere else.
OUT_OF_MEMORY = re.compile(r"out of memory|DefaultCPUAllocator|STATUS_ALLOC_FAILED|ALLOCATION_FAILED", re.IGNORECASE)
DEAD_LOADER = re.compile(
    r"DataLoader worker \(pid.*\) (is killed|exited unexpectedly)|DataLoader timed out|Pin memory thread exited"
    r"|unable to (write to file|open shared memory|allocate shared memory|mmap)"
)
FULL_SHARED_MEMORY = re.compile(r"Bus error|shared memory|</torch_")
DEVICE_ERROR = re.compile(
    r"(CUDA|HIP|cuDNN|CUDA driver|CUDA unknown) error|Triton Error \[CUDA\]|NCCL|ncclR|ncclS|ncclU"
    r"|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_|ECC error|illegal memory access|misaligned address"
    r"|unspecified launch failure|fallen off the bus|GPU is lost|No CUDA GPUs are available|cudaGetDeviceCount"
)
# CUDA errors that a program causes on a healthy device. They would come again on every other.
PROGRAM_ERROR = re.compile(
    r"device-side assert triggered|no kernel image|invalid (device function|device ordinal|argument|configuration)"
    r"|too many resources requested|_STATUS_(NOT_SUPPORTED|INVALID_VALUE|BAD_PARAM|ARCH_MISMATCH)"
    r"|driver version is insufficient"
)


def failure_from(error: BaseException) -> Failure:
    """The failure that `error` stands for, with its traceback as text.

    Where another exception was raised because of a failing disk, device or process, that is the failure.
    """
    text = "".join(traceback.format_exception(error))
    causes = list(_chain(error))
    for cause in causes:
        if _is_disk_error(cause):
            return Failure("disk", _message(cause), text, _errno(cause))
    for cause in causes:
        kind = _environment_kind(cause)
        if kind is not None:
            return Failure(kind, _message(cause), text, _errno(cause))
    kind = "input" if isinstance(error, ValueError | OSError) else "error"
    return Failure(kind, _message(error), text, _errno(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and the exceptions because of which it was raised."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        hidden = cause.__suppress_context__
        cause = cause.__cause__ if hidden else cause.__context__


def _is_disk_error(error: BaseException) -> bool:
    return isinstance(error, WriteError) or (isinstance(error, OSError) and _errno(error) in FULL_DISK)


def _environment_kind(error: BaseException) -> FailureKind | None:
    """The kind of a failure of the machine that `error` reports; None if it reports none."""
    if isinstance(error, OSError):
        return _read_kind(error)
    if isinstance(error, RuntimeError):
        return _runtime_kind(error)
    return None


def _read_kind(error: OSError) -> FailureKind | None:
    number = _errno(error)
    if number == errno.ENOMEM:
        return "memory"
    is_unreadable = isinstance(error, ImageReadError | ConnectionError | TimeoutError) or number in UNREADABLE
    return "io" if is_unreadable else None


def _runtime_kind(error: RuntimeError) -> FailureKind | None:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or OUT_OF_MEMORY.search(text):
        return "memory"
    if DEAD_LOADER.search(text):
        return "process died"
    if PROGRAM_ERROR.search(text):
        return None
    is_device_error = isinstance(error, torch.AcceleratorError | torch.distributed.DistError)
    return "device" if is_device_error or DEVICE_ERROR.search(text) else None


def _errno(error: BaseException) -> int | None:
    """The number of an OSError; of one that a loader process has sent, which carries text alone, from its text."""
    if not isinstance(error, OSError):
        return None
    if error.errno is None and _is_from_loader(error):
        found = re.search(r"\[Errno (\d+)\]", _last_line(error))
        return int(found[1]) if found else None
    return error.errno


def _message(error: BaseException) -> str:
    """The text of an exception in one line; of an OSError without the number, which `Failure.errno` holds."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = lines[0]
    if _is_from_loader(error):
        text = _last_line(error).partition(": ")[2] or text
    number = _errno(error)
    if number is not None:
        text = text.removeprefix(f"[Errno {number}] ")
    if isinstance(error, RuntimeError) and DEAD_LOADER.search(text):
        return text + _shared_memory_hint(text)
    return text


def _is_from_loader(error: BaseException) -> bool:
    """Whether torch has raised a loader process's exception again, with its traceback as text."""
    return str(error).startswith("Caught ") and "DataLoader worker process" in str(error)


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1]


def _shared_memory_hint(text: str) -> str:
    """What to do where loader processes have no room for their batches; empty where that is not the reason."""
    if not FULL_SHARED_MEMORY.search(text):
        return ""
    try:
        size = f"{shutil.disk_usage('/dev/shm').total / 1e6:,.0f} MB"  # noqa: S108
    except OSError:
        return ""
    return f" /dev/shm, through which loader processes send batches, has {size}: give the container more (--shm-size)"
