"""Checkpoints of a trial in a folder: tensors in safetensors, everything else in JSON, nothing pickled.

`<folder>/epoch-0007/{model.safetensors, optimizer.safetensors, trainer.json}`. The JSON is written last and holds the
digests of the other files. A checkpoint without it, or whose files have other digests, is damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from storage.digest import digest
from storage.folder import Folder
from trainers.checkpoint_json import CheckpointJson, DamageError, parse_json, require_intact, to_json
from trainers.metadata import CheckpointMetadata
from trainers.trial_task import EpochMetrics

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
EMA = "ema.safetensors"  # only where the recipe averages the weights
TRAINER = "trainer.json"
# What a file that is not as it was written may raise.
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a trial after the last epoch of `history`: state dicts of torch, and how they came to be."""

    metadata: CheckpointMetadata
    history: tuple[EpochMetrics, ...]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]  # of gradients in float16; empty if they are not scaled
    ema: dict[str, Tensor] | None = None  # the averaged weights, if the recipe has them
    test_top1: float | None = None  # percent; None until training has finished
    ema_test_top1: float | None = None  # with averaged weights

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return len(self.history)


def save_checkpoint(folder: Folder, checkpoint: Checkpoint, *, keep: int) -> None:
    """Write a checkpoint under `folder` and remove all but the newest `keep`. OSError if it cannot be written."""
    target = folder / _name(checkpoint.epoch)
    target.remove(TRAINER)  # of a damaged checkpoint, whose other files are about to change
    target.make()
    optimizer_tensors, optimizer_rest = _split_optimizer(checkpoint.optimizer)
    tensors = {MODEL: checkpoint.model, OPTIMIZER: optimizer_tensors}
    if checkpoint.ema is not None:
        tensors[EMA] = checkpoint.ema
    digests = {}
    for name, tensors_of_file in tensors.items():
        content = _to_bytes(tensors_of_file)
        target.write(name, content)
        digests[name] = digest(content)
    description = {
        "identity": checkpoint.metadata.identity,
        "origin": asdict(checkpoint.metadata),
        "history": [asdict(epoch) for epoch in checkpoint.history],
        "scaler": checkpoint.scaler,
        "test_top1": checkpoint.test_top1,
        "ema_test_top1": checkpoint.ema_test_top1,
        "optimizer": optimizer_rest,
        "digests": digests,
    }
    target.write(TRAINER, to_json(description))
    names = _epoch_names(folder)
    # Checkpoints of later epochs are damaged, or training would not have started before them.
    kept = [name for name in names if name <= target.name][-keep:]
    for name in names:
        if name not in kept:
            folder.remove(name)


def save_test_top1(folder: Folder, epoch: int, test_top1: float, ema_test_top1: float | None = None) -> None:
    """Add the top-1 on the test images, in percent, to the checkpoint of `epoch`; also that of averaged weights."""
    target = folder / _name(epoch)
    description = json.loads(target.read(TRAINER))
    description["test_top1"] = test_top1
    description["ema_test_top1"] = ema_test_top1
    target.write(TRAINER, to_json(description))


@dataclass(frozen=True)
class StoredCheckpoint:
    """The files of a checkpoint in `source`, which are as they were written."""

    source: Folder
    description: CheckpointJson
    digest: str  # of trainer.json, which holds those of the other files
    tensors: dict[str, bytes]  # the contents of the tensor files, by name

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return len(self.description.history)

    def load(self, device: torch.device) -> Checkpoint:
        """The checkpoint with the model on `device`. ValueError in one line if it is intact but cannot be loaded."""
        description = self.description
        try:
            model = _to_device(load(self.tensors[MODEL]), device)
            ema = _to_device(load(self.tensors[EMA]), device) if EMA in self.tensors else None
            # The optimizer moves its state itself, and leaves step counters on the CPU, where reading them is free.
            optimizer = _join_optimizer(load(self.tensors[OPTIMIZER]), description.optimizer)
        except DAMAGE as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ValueError(f"checkpoint {self.source} is intact but cannot be loaded: {reason}") from error
        return Checkpoint(
            metadata=description.metadata,
            history=description.history,
            model=model,
            optimizer=optimizer,
            scaler=description.scaler,
            ema=ema,
            test_top1=description.test_top1,
            ema_test_top1=description.ema_test_top1,
        )


def load_checkpoint(folder: Folder, device: torch.device) -> Checkpoint | None:
    """The newest intact checkpoint under `folder`, with the model on `device`; None if there is none.

    Raises what `find_newest` and `StoredCheckpoint.load` raise.
    """
    stored = find_newest(folder)
    return None if stored is None else stored.load(device)


def find_newest(folder: Folder) -> StoredCheckpoint | None:
    """The newest intact checkpoint under `folder`. One that is damaged or cannot be read gives way to the one before.

    None if there is none. OSError if there is none but some cannot be read: they may be sound, and training anew would
    remove them. ValueError in one line if a checkpoint is intact but another version of this code wrote it.
    """
    unreadable: OSError | None = None
    for name in reversed(_epoch_names(folder)):
        try:
            return read_checkpoint(folder, int(name.removeprefix("epoch-")))
        except (DamageError, FileNotFoundError):
            continue
        except OSError as error:
            unreadable = unreadable or error
    if unreadable is not None:
        raise unreadable
    return None


def read_checkpoint(folder: Folder, epoch: int) -> StoredCheckpoint:
    """The checkpoint of `epoch` under `folder`.

    DamageError if a file is not as it was written, OSError if it cannot be read, ValueError in one line if it is intact
    but cannot be understood.
    """
    source = folder / _name(epoch)
    content = source.read(TRAINER)
    digests = require_intact(content)["digests"]
    names = [MODEL, OPTIMIZER]
    if EMA in digests:
        names.append(EMA)
    tensors = {name: source.read(name) for name in names}
    if digests != {name: digest(content) for name, content in tensors.items()}:
        raise DamageError(f"{source} is not what was written")
    try:
        description = parse_json(CheckpointJson, content)
    except ValueError as error:
        raise ValueError(f"checkpoint {source} is intact but cannot be loaded: {error}") from error
    if len(description.history) != epoch:
        raise ValueError(f"checkpoint {source} is intact but has {len(description.history)} epochs")
    return StoredCheckpoint(source, description, digest(content), tensors)


def read_tensors(source: Folder, name: str, digests: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a file whose digest is `digests[name]`; one of DAMAGE if it is not as it was written."""
    content = source.read(name)
    if digest(content) != digests[name]:
        raise ValueError(f"{source / name} is not what was written")
    return load(content)


def newest(folder: Folder) -> Folder:
    """The newest checkpoint under `folder`, or `folder` itself if it is one; FileNotFoundError if there is none."""
    if folder.exists(TRAINER):
        return folder
    for name in reversed(_epoch_names(folder)):
        if (folder / name).exists(TRAINER):
            return folder / name
    raise FileNotFoundError(f"no checkpoint in {folder}, expected {TRAINER} or epoch-0001, epoch-0002 and so on")


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _epoch_names(folder: Folder) -> list[str]:
    return [name for name in folder.folders() if re.fullmatch(r"epoch-\d{4}", name)]


def _to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _to_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _split_optimizer(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state dict as tensors and as values for JSON.

    The keys are `state.<parameter>.<name>` and `group.<number>.<name>`.
    """
    groups = dict(enumerate(state["param_groups"]))
    tensors = {}
    rest = {}
    for kind, entries in (("state", state["state"]), ("group", groups)):
        for index, values in entries.items():
            for name, value in values.items():
                key = f"{kind}.{index}.{name}"
                if isinstance(value, Tensor):
                    tensors[key] = value.contiguous()
                else:
                    rest[key] = value
    return tensors, rest


def _join_optimizer(tensors: dict[str, Tensor], rest: dict[str, Any]) -> dict[str, Any]:
    """The state dict that `_split_optimizer` has split."""
    state: dict[int, dict[str, Any]] = {}
    groups: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **rest}.items():
        kind, index, name = key.split(".")
        entries = state if kind == "state" else groups
        entries.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": [groups[index] for index in sorted(groups)]}
