import errno
import re

import pytest
import torch
from torch._utils import ExceptionWrapper

from storage.write_error import WriteError
from trainers.data.decoding import ImageDecodeError, ImageReadError
from trainers.failures import failure_from

ILLEGAL_ACCESS = """CUDA error: an illegal memory access was encountered
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""
NCCL = "NCCL error in: ProcessGroupNCCL.cpp:2395, unhandled cuda error\nncclUnhandledCudaError: Call to CUDA failed."
BUS_ERROR = (
    "DataLoader worker (pid 17) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit."
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("x"), "error"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "error"),
        (MemoryError(), "error"),  # smaller micro-batches would not help the machine
        (ValueError("no such optimizer"), "input"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "input"),
        (WriteError(errno.EIO, "Input/output error"), "disk"),
        (WriteError("s3://b: away"), "disk"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),  # only a write can meet it
        (OSError(errno.EIO, "Input/output error"), "io"),
        (OSError(errno.ESTALE, "Stale file handle"), "io"),
        (ConnectionResetError("away"), "io"),
        (TimeoutError("s3://b: away"), "io"),
        (ImageReadError("a.png cannot be read"), "io"),
    ],
)
def test_each_exception_has_its_kind(error, kind):
    assert failure_from(error).kind == kind


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("too little"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        torch.distributed.DistBackendError("ncclUnhandledCudaError: Cuda failure 2 'out of memory'"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_known_in_all_spellings(error):
    assert failure_from(error).kind == "memory"


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(ILLEGAL_ACCESS),
        torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
        torch.AcceleratorError("an error that nobody has met yet"),
        RuntimeError("CUDA error: misaligned address"),
        RuntimeError("CUDA error: unspecified launch failure"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasGemmEx`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        RuntimeError("Unable to determine the device handle for GPU0: GPU is lost"),
        RuntimeError("No CUDA GPUs are available"),
        RuntimeError(NCCL),
        torch.distributed.DistBackendError(NCCL),
    ],
)
def test_what_a_gpu_or_its_connections_do_is_a_device_failure(error):
    assert failure_from(error).kind == "device"


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: device-side assert triggered",
        "CUDA error: no kernel image is available for execution on the device",
        "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`",
        "CUDA error: invalid configuration argument",
    ],
)
def test_what_a_program_asks_wrongly_of_a_gpu_would_fail_on_every_gpu(text):
    assert failure_from(torch.AcceleratorError(text)).kind == "error"


@pytest.mark.parametrize(
    "text",
    [
        BUS_ERROR,
        "DataLoader worker (pid 17) is killed by signal: Killed. ",
        "DataLoader worker (pid(s) 17, 18) exited unexpectedly",
        "unable to write to file </torch_17_1>: No space left on device (28)",
    ],
)
def test_a_loader_process_that_dies_is_a_dead_process(text):
    assert failure_from(RuntimeError(text)).kind == "process died"


def test_a_bus_error_of_a_loader_names_dev_shm():
    hint = r".*Bus error\..* /dev/shm, .* has [\d,]+ MB: give the container more \(--shm-size\)"
    assert re.fullmatch(hint, failure_from(RuntimeError(BUS_ERROR)).message)
    assert "shm" not in failure_from(RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")).message


def from_loader(error):
    """The exception that arrives here when a loader process raises `error`."""
    try:
        raise error
    except Exception:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 3")
    try:
        wrapper.reraise()
    except Exception as arrived:
        return arrived


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(errno.ESTALE, "Stale file handle", "a.png"), "io", "Stale file handle: 'a.png'"),
        (ImageReadError("a.png cannot be read"), "io", "a.png cannot be read"),
        (ImageDecodeError("a.png cannot be decoded"), "input", "a.png cannot be decoded"),
    ],
)
def test_a_loader_processs_exception_keeps_its_kind_and_its_line(error, kind, message):
    failure = failure_from(from_loader(error))
    assert (failure.kind, failure.message) == (kind, message)


def test_the_message_of_an_operating_system_error_leaves_its_number_out():
    failure = failure_from(OSError(errno.ENOSPC, "No space left on device", "file"))
    assert (failure.errno, failure.message) == (errno.ENOSPC, "No space left on device: 'file'")


def test_a_message_is_one_line():
    failure = failure_from(torch.AcceleratorError(ILLEGAL_ACCESS))
    assert failure.message == "CUDA error: an illegal memory access was encountered"
    assert failure_from(MemoryError()).message == "MemoryError"


@pytest.mark.parametrize(
    ("cause", "kind"), [(WriteError(errno.EIO, "Input/output error"), "disk"), (OSError(errno.ESTALE, "Stale"), "io")]
)
def test_what_an_exception_was_raised_because_of_counts(cause, kind):
    try:
        try:
            raise cause
        except OSError as error:
            raise RuntimeError("cannot go on") from error
    except RuntimeError as error:
        failure = failure_from(error)
    assert (failure.kind, failure.errno, failure.message) == (kind, cause.errno, cause.strerror)
    assert failure.traceback.endswith("RuntimeError: cannot go on\n")
