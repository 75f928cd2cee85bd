"""The GPUs that a faked driver knows."""

import ctypes
from types import SimpleNamespace

import pytest

from trainers import installed_gpus
from trainers.installed_gpus import count_installed_gpus


@pytest.fixture(autouse=True)
def _machine(monkeypatch, tmp_path):
    """A machine without a GPU, whose environment hides none."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(installed_gpus, "NVML", "no-such-library.so")
    monkeypatch.setattr(installed_gpus, "DRIVER_FOLDER", tmp_path / "gpus")
    monkeypatch.setattr(installed_gpus, "CONTROL_DEVICE", tmp_path / "nvidiactl")


@pytest.fixture
def nvml(monkeypatch):
    """NVIDIA's library, which answers with two GPUs."""

    def count(number):
        number._obj.value = 2
        return 0

    library = SimpleNamespace(nvmlInit_v2=lambda: 0, nvmlDeviceGetCount_v2=count, nvmlShutdown=lambda: 0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return library


def test_a_machine_without_a_driver_has_no_gpu():
    assert count_installed_gpus() == 0


def test_the_management_library_is_asked(nvml):
    assert count_installed_gpus() == 2


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_who_hides_all_gpus_has_none(nvml, monkeypatch, value):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert count_installed_gpus() == 0


def test_where_the_library_does_not_answer_the_drivers_folder_counts(nvml, tmp_path):
    nvml.nvmlInit_v2 = lambda: 18  # the driver was updated and not loaded again
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert count_installed_gpus() == 0  # a container without devices sees the host's folder
    (tmp_path / "nvidiactl").touch()
    assert count_installed_gpus() == 1
