"""The NVIDIA GPUs that the driver knows, asked without CUDA and without torch, which may not be able to use them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

NVML = "libnvidia-ml.so.1"
DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
CONTROL_DEVICE = Path("/dev/nvidiactl")  # a container that was started without GPUs has none
HIDE_ALL = ("", "-1", "NoDevFiles", "none", "void")  # values of CUDA_VISIBLE_DEVICES by which users ask for no GPU


def count_installed_gpus() -> int:
    """How many NVIDIA GPUs this machine has and the environment does not hide, whether or not torch can use them."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in HIDE_ALL:
        return 0
    counted = _count_by_nvml()
    if counted is None:
        return _count_by_driver_folder()
    return counted


def _count_by_nvml() -> int | None:
    """The number of GPUs by NVIDIA's management library; None where the library is absent or does not answer."""
    try:
        nvml = ctypes.CDLL(NVML)
        if nvml.nvmlInit_v2() != 0:  # for example, the driver was updated and is not loaded again yet
            return None
        number = ctypes.c_uint(0)
        status = nvml.nvmlDeviceGetCount_v2(ctypes.byref(number))
        nvml.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return number.value if status == 0 else None


def _count_by_driver_folder() -> int:
    """The number of GPUs by the folder that the driver shows, where its devices can be opened."""
    if not CONTROL_DEVICE.exists() or not DRIVER_FOLDER.is_dir():
        return 0
    return len(list(DRIVER_FOLDER.iterdir()))
