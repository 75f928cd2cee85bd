"""A trial's state on disk: tensors in safetensors, everything else in JSON, nothing pickled.

`<folder>/epoch-0007/{model,optimizer}.safetensors, trainer.json`; a checkpoint appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save


def save_checkpoint(folder: Path, epoch: int, model: dict, optimizer: dict, trainer: dict[str, Any], kept: int) -> None:
    """Write one epoch's state under `folder` and drop all but the newest `kept`. OSError if it cannot be written."""
    final = folder / f"epoch-{epoch:04d}"
    part = folder / f".{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors, rest = _split_optimizer(optimizer)
    _write(part / "model.safetensors", save({name: tensor.contiguous() for name, tensor in model.items()}))
    _write(part / "optimizer.safetensors", save(tensors))
    _write(part / "trainer.json", json.dumps({**trainer, "optimizer": rest}).encode())
    _sync_folder(part)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    _sync_folder(folder)
    for old in _epochs(folder)[:-kept]:
        shutil.rmtree(old, ignore_errors=True)


def checkpoints(folder: Path, device: torch.device) -> Iterator[tuple[dict, dict, dict[str, Any]]]:
    """Model, optimizer and trainer state of each checkpoint under `folder` that can be read, the newest first."""
    for path in reversed(_epochs(folder)):
        try:
            trainer = json.loads((path / "trainer.json").read_text())
            model = load_file(path / "model.safetensors", device=str(device))
            # The optimizer moves its state itself, and leaves step counters on the CPU where they cost no wait.
            optimizer = _join_optimizer(load_file(path / "optimizer.safetensors"), trainer.pop("optimizer"))
            if len(trainer["history"]) != int(path.name.removeprefix("epoch-")):
                continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            continue
        yield model, optimizer, trainer


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-[0-9][0-9][0-9][0-9]"))


def _split_optimizer(state: dict) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Every entry under `state.<parameter>.<name>` or `group.<number>.<name>`: tensors, and the rest."""
    groups = dict(enumerate(state["param_groups"]))
    entries = {
        f"{kind}.{index}.{name}": value
        for kind, part in (("state", state["state"]), ("group", groups))
        for index, values in part.items()
        for name, value in values.items()
    }
    tensors = {key: value.contiguous() for key, value in entries.items() if isinstance(value, torch.Tensor)}
    return tensors, {key: value for key, value in entries.items() if key not in tensors}


def _join_optimizer(tensors: dict[str, torch.Tensor], rest: dict[str, Any]) -> dict:
    parts: dict[str, dict[int, dict[str, Any]]] = {"state": {}, "group": {}}
    for key, value in {**tensors, **rest}.items():
        kind, index, name = key.split(".")
        parts[kind].setdefault(int(index), {})[name] = value
    return {"state": parts["state"], "param_groups": [parts["group"][index] for index in sorted(parts["group"])]}


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
