"""Names of devices."""

from pathlib import Path

import pytest
import torch

from trainers.device import device_name, trial_device_name
from trainers.resources import Resources


@pytest.fixture
def cpuinfo(monkeypatch):
    """Sets the text of /proc/cpuinfo; None makes it unreadable."""

    def set_text(text):
        def read_text(path):
            if text is None:
                raise OSError(f"no {path}")
            return text

        monkeypatch.setattr(Path, "read_text", read_text)

    return set_text


def test_a_cpu_is_named_with_its_threads(cpuinfo):
    cpuinfo("processor : 0\nmodel name\t: Fast CPU @ 3GHz\nmodel name\t: Fast CPU @ 3GHz\n")
    assert device_name(torch.device("cpu")) == "Fast CPU @ 3GHz, 1 thread"


@pytest.mark.parametrize("text", [None, "processor : 0\n"])
def test_without_cpuinfo_the_platform_is_asked(cpuinfo, monkeypatch, text):
    cpuinfo(text)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert device_name(torch.device("cpu")) == "riscv64, 1 thread"


def test_a_trials_threads_are_part_of_the_name():
    try:
        assert trial_device_name(Resources(threads=2)).endswith(", 2 threads")
    finally:
        torch.set_num_threads(1)


def test_a_gpu_is_known_by_its_own_name(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"GPU number {device.index}")
    assert device_name(torch.device("cuda:1")) == "GPU number 1"
