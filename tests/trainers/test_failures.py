import errno

import pytest
import torch

from trainers.failures import failure_from


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("x"), "error"),
        (ValueError("no such optimizer"), "input"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "input"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (MemoryError(), "error"),  # smaller micro-batches would not help the machine
        (torch.OutOfMemoryError("too little"), "memory"),
    ],
)
def test_each_exception_has_its_kind(error, kind):
    assert failure_from(error).kind == kind


def test_the_message_of_an_operating_system_error_leaves_its_number_out():
    failure = failure_from(OSError(errno.ENOSPC, "No space left on device", "file"))
    assert (failure.errno, failure.message) == (errno.ENOSPC, "No space left on device: 'file'")


def test_an_exception_without_text_is_named():
    assert failure_from(MemoryError()).message == "MemoryError"


def test_a_disk_error_counts_also_as_the_cause_of_another():
    try:
        try:
            raise OSError(errno.EIO, "Input/output error")
        except OSError as cause:
            raise RuntimeError("cannot save") from cause
    except RuntimeError as error:
        failure = failure_from(error)
    assert (failure.kind, failure.errno, failure.message) == ("disk", errno.EIO, "Input/output error")
    assert failure.traceback.endswith("RuntimeError: cannot save\n")
