"""A trial's state in a folder: tensors in safetensors, everything else in JSON, nothing pickled.

`<folder>/epoch-0007/{model.safetensors, optimizer.safetensors, trainer.json}`. The JSON comes last and holds digests of
the others: without it, or with others than it was written with, there is no checkpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from storage.digest import digest
from storage.folder import Folder

MODEL, OPTIMIZER, TRAINER = "model.safetensors", "optimizer.safetensors", "trainer.json"
_EPOCH = re.compile(r"epoch-\d{4}")
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)


def save_checkpoint(
    folder: Folder, epoch: int, model: dict, optimizer: dict, trainer: dict[str, Any], kept: int
) -> None:
    """Write one epoch's state under `folder` and drop all but the newest `kept`. OSError if it cannot be written."""
    target = folder / _name(epoch)
    target.remove(TRAINER)  # of a damaged checkpoint: its other files are about to change
    target.make()
    tensors, rest = _split_optimizer(optimizer)
    contents = {MODEL: save({name: tensor.contiguous() for name, tensor in model.items()}), OPTIMIZER: save(tensors)}
    for name, content in contents.items():
        target.write(name, content)
    digests = {name: digest(content) for name, content in contents.items()}
    target.write(TRAINER, json.dumps({**trainer, "optimizer": rest, "digests": digests}).encode())
    # Those of later epochs are damaged, or this one would not have been trained again.
    earlier = [name for name in _epochs(folder) if name <= target.name]
    for old in {*_epochs(folder)} - {*earlier[-kept:]}:
        folder.remove(old)


def note(folder: Folder, epoch: int, **facts: Any) -> None:
    """Add to the JSON of a checkpoint that was written before."""
    target = folder / _name(epoch)
    trainer = json.loads(target.read(TRAINER))
    target.write(TRAINER, json.dumps({**trainer, **facts}).encode())


def checkpoints(folder: Folder, device: torch.device) -> Iterator[tuple[dict, dict, dict[str, Any]]]:
    """Model, optimizer and trainer state of each checkpoint under `folder` that can be read, the newest first."""
    for name in reversed(_epochs(folder)):
        try:
            source = folder / name
            trainer = json.loads(source.read(TRAINER))
            model = read_tensors(source, MODEL, trainer)
            optimizer = _join_optimizer(read_tensors(source, OPTIMIZER, trainer), trainer.pop("optimizer"))
            if len(trainer["history"]) != int(name.removeprefix("epoch-")):
                continue
        except DAMAGE as error:
            if isinstance(error, OSError) and folder.path is None and not isinstance(error, FileNotFoundError):
                raise  # a store that is away has damaged nothing
            continue
        # The optimizer moves its state itself, and leaves step counters on the CPU where they cost no wait.
        yield {key: tensor.to(device) for key, tensor in model.items()}, optimizer, trainer


def read_tensors(source: Folder, name: str, trainer: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a file beside the JSON whose content is `trainer`; one of DAMAGE if it is not as written."""
    content = source.read(name)
    if digest(content) != trainer["digests"][name]:
        raise ValueError(f"{source / name} is not what was written")
    return load(content)


def newest(folder: Folder) -> Folder:
    """The newest checkpoint under `folder`, or `folder` itself if it is one; FileNotFoundError if there is none."""
    if folder.exists(TRAINER):
        return folder
    for name in reversed(_epochs(folder)):
        if (folder / name).exists(TRAINER):
            return folder / name
    raise FileNotFoundError(f"no checkpoint in {folder}, expected {TRAINER} or epoch-0001, epoch-0002 and so on")


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _epochs(folder: Folder) -> list[str]:
    return [name for name in folder.folders() if _EPOCH.fullmatch(name)]


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
