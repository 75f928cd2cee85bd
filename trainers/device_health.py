"""Which GPUs of this machine can train: each is tried in a process of its own before anything starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.installed_gpus import count_installed_gpus


@dataclass(frozen=True)
class DeviceHealth:
    """Whether a GPU can train. `index` counts the GPUs that this process may use; `problem` is one line, or None."""

    index: int
    name: str
    problem: str | None

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name}): {self.problem or 'well'}"


def check_devices(*, compiles: bool, timeout_seconds: float = 180.0) -> list[DeviceHealth]:
    """The health of every GPU that the environment shows, all checked at the same time; empty where there is none.

    A check computes and compares with the CPU, and with `compiles` tries torch.compile. GPUs that the driver sees and
    torch does not are listed too, with the reason. The checks have `timeout_seconds` together; loading torch from a
    cold disk and one compilation take half a minute.
    """
    checks = [_start_check(gpu, compiles) for gpu in visible_gpus()]
    deadline = time.monotonic() + timeout_seconds
    found = []
    for index, check in enumerate(checks):
        found.append(_result(index, check, deadline, timeout_seconds))
    return found


def visible_gpus() -> list[str]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them, or would: numbers or UUIDs. Nothing initialises CUDA here."""
    import torch

    number = torch.cuda.device_count() or count_installed_gpus()
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return [str(index) for index in range(number)]
    return [name.strip() for name in names.split(",")][:number]


def leave_out_sick_gpus(health: Sequence[DeviceHealth]) -> list[str]:
    """Hide the sick GPUs from this process and from those that it starts; returns a line for each.

    ValueError in one line if there are GPUs and none of them can be used.
    """
    sick = [device for device in health if device.problem]
    if not sick:
        return []
    if len(sick) == len(health):
        raise ValueError(_describe_all_sick(sick))
    gpus = visible_gpus()
    well = [gpus[device.index] for device in health if not device.problem]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(well)
    return [f"{device}; it is left out" for device in sick]


def check_nccl() -> None:
    """ValueError in one line if this build of torch has no NCCL, over which ranks on several GPUs talk."""
    from torch import distributed

    if not distributed.is_available() or not distributed.is_nccl_available():
        raise ValueError("a trial on several GPUs needs NCCL, which this build of torch lacks")


def _describe_all_sick(sick: Sequence[DeviceHealth]) -> str:
    """All problems in one line, each with the GPUs that have it."""
    reasons: dict[str, list[str]] = {}
    for device in sick:
        reasons.setdefault(f"{device.name}: {device.problem}", []).append(str(device.index))
    texts = [f"GPU {', '.join(indices)} ({reason})" for reason, indices in reasons.items()]
    hint = "to train on the CPU set CUDA_VISIBLE_DEVICES to nothing"
    return f"no GPU of this machine can be used: {'; '.join(texts)}; {hint}"


def _start_check(gpu: str, compiles: bool) -> subprocess.Popen[str]:
    """The process that checks one GPU, which is the only one that it sees."""
    command = [sys.executable, "-m", "trainers.device_check"]
    if compiles:
        command.append("--compile")
    our_code = str(Path(__file__).resolve().parents[1])
    search_path = os.pathsep.join([our_code, *filter(None, sys.path)])
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": gpu, "PYTHONPATH": search_path}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _result(index: int, check: subprocess.Popen[str], deadline: float, timeout_seconds: float) -> DeviceHealth:
    """What a check printed; its own end is the problem if it printed nothing."""
    seconds_left = max(0.0, deadline - time.monotonic())
    if check.poll() is not None:
        seconds_left = 1.0  # to read what it printed, also where another GPU's check has used up the time
    try:
        output, errors = check.communicate(timeout=seconds_left)
    except subprocess.TimeoutExpired:
        check.kill()  # nobody waits for it: a process that hangs in the driver does not end
        return DeviceHealth(index, "unknown", f"its check does not end within {timeout_seconds:.0f} s")
    try:
        result = json.loads(output.splitlines()[-1])
        return DeviceHealth(index, result["name"], result["problem"])
    except (IndexError, ValueError, TypeError, KeyError):
        lines = errors.strip().splitlines() or ["no message"]
        return DeviceHealth(index, "unknown", f"its check ended with code {check.returncode}: {lines[-1][:200]}")
