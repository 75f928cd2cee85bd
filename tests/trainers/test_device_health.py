"""Which GPUs are left out, with checks that print invented results."""

import json
import os
import subprocess
import sys

import pytest
import torch

from trainers import device_health
from trainers.device_health import DeviceHealth, check_devices, leave_out_sick_gpus, visible_gpus

WELL = {"name": "H100", "problem": None}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)


@pytest.fixture
def gpus(monkeypatch):
    """Makes as many GPUs as there are programs; the check of each runs its program."""

    def make(*programs):
        def start(gpu, compiles):
            command = [sys.executable, "-S", "-c", programs[int(gpu)]]
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(programs))
        monkeypatch.setattr(device_health, "_start_check", start)

    return make


def test_a_check_prints_what_it_found(gpus):
    gpus(f"print('a warning'); print('''{json.dumps(WELL)}''')")
    assert check_devices(compiles=True) == [DeviceHealth(0, "H100", None)]


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "its check ended with code -9: no message"),
        ("raise OSError('a bus error')", "its check ended with code 1: OSError: a bus error"),
        ("print('[]')", "its check ended with code 0: no message"),
        ("import time; time.sleep(60)", "its check does not end within 0 s"),
    ],
)
def test_a_check_that_prints_no_result_is_a_problem(gpus, program, problem):
    gpus(program)
    timeout = 0.2 if "sleep" in program else 20.0
    assert check_devices(compiles=False, timeout_seconds=timeout)[0].problem == problem


def test_a_check_that_does_not_end_makes_no_other_gpu_sick(gpus):
    gpus("import time; time.sleep(60)", f"print('''{json.dumps(WELL)}''')")
    hanging, well = check_devices(compiles=False, timeout_seconds=1.0)
    assert hanging.problem == "its check does not end within 1 s"
    assert well == DeviceHealth(1, "H100", None)


def test_gpus_that_only_the_driver_sees_are_checked_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(device_health, "count_installed_gpus", lambda: 2)
    assert visible_gpus() == ["0", "1"]


def test_gpus_keep_the_names_that_the_environment_gives(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    os.environ["CUDA_VISIBLE_DEVICES"] = "GPU-1a, 5,9"
    assert visible_gpus() == ["GPU-1a", "5"]


def test_a_machine_without_gpus_checks_nothing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(device_health, "count_installed_gpus", lambda: 0)
    assert check_devices(compiles=True) == []
    assert leave_out_sick_gpus([]) == []


def test_a_sick_gpu_is_hidden_and_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    os.environ["CUDA_VISIBLE_DEVICES"] = "4,5,6"
    health = [DeviceHealth(0, "H100", None), DeviceHealth(1, "H100", "wrong sums"), DeviceHealth(2, "H100", None)]
    assert leave_out_sick_gpus(health) == ["GPU 1 (H100): wrong sums; it is left out"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"


def test_gpus_of_which_none_can_be_used_are_refused_in_one_line():
    health = [DeviceHealth(0, "H100", "old driver"), DeviceHealth(1, "H100", "old driver")]
    with pytest.raises(
        ValueError, match=r"^no GPU of this machine can be used: GPU 0, 1 \(H100: old driver\); to train "
    ):
        leave_out_sick_gpus(health)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.slow
def test_a_gpu_that_torch_cannot_reach_is_a_problem_with_torchs_reason(monkeypatch):
    monkeypatch.setattr(device_health, "visible_gpus", lambda: ["99"])
    (health,) = check_devices(compiles=False)
    assert health.problem.startswith(f"torch {torch.__version__}: ")
