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
from trainers.metadata import CheckpointMetadata
from trainers.trial_task import EpochMetrics

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
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
    test_top1: float | None = None  # percent; None until training has finished

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
    model_tensors = {name: tensor.contiguous() for name, tensor in checkpoint.model.items()}
    model = save(model_tensors)
    optimizer = save(optimizer_tensors)
    target.write(MODEL, model)
    target.write(OPTIMIZER, optimizer)
    description = {
        "identity": checkpoint.metadata.identity,
        "origin": asdict(checkpoint.metadata),
        "history": [asdict(epoch) for epoch in checkpoint.history],
        "scaler": checkpoint.scaler,
        "test_top1": checkpoint.test_top1,
        "optimizer": optimizer_rest,
        "digests": {MODEL: digest(model), OPTIMIZER: digest(optimizer)},
    }
    target.write(TRAINER, _to_json(description))
    names = _epoch_names(folder)
    # Checkpoints of later epochs are damaged, or training would not have started before them.
    kept = [name for name in names if name <= target.name][-keep:]
    for name in names:
        if name not in kept:
            folder.remove(name)


def save_test_top1(folder: Folder, epoch: int, test_top1: float) -> None:
    """Add the top-1 on the test images, in percent, to the checkpoint of `epoch`."""
    target = folder / _name(epoch)
    description = json.loads(target.read(TRAINER))
    description["test_top1"] = test_top1
    target.write(TRAINER, _to_json(description))


def load_checkpoint(folder: Folder, device: torch.device) -> Checkpoint | None:
    """The newest checkpoint under `folder` that is not damaged, with the model on `device`; None if there is none.

    ValueError in one line if a checkpoint is intact but cannot be understood: another version of this code wrote it.
    OSError if an object store does not answer.
    """
    for name in reversed(_epoch_names(folder)):
        source = folder / name
        try:
            description = json.loads(source.read(TRAINER))
            digests = description["digests"]
            model = source.read(MODEL)
            optimizer = source.read(OPTIMIZER)
            tensors_are_intact = digest(model) == digests[MODEL] and digest(optimizer) == digests[OPTIMIZER]
            is_intact = tensors_are_intact and _is_as_written(description)
        except (OSError, ValueError, KeyError, TypeError) as error:
            store_is_away = folder.path is None and isinstance(error, OSError)
            if store_is_away and not isinstance(error, FileNotFoundError):
                raise
            continue
        if is_intact:
            return _parse(source, description, model, optimizer, device)
    return None


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


def _digest_of(description: dict[str, Any]) -> str:
    """The digest of all entries but the digest itself."""
    others = {name: value for name, value in description.items() if name != "digest"}
    return digest(json.dumps(others).encode())


def _to_json(description: dict[str, Any]) -> bytes:
    return json.dumps({**description, "digest": _digest_of(description)}).encode()


def _is_as_written(description: dict[str, Any]) -> bool:
    """Whether the description has its digest. Those of older checkpoints have none, and pass."""
    return description.get("digest") in (None, _digest_of(description))


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _epoch_names(folder: Folder) -> list[str]:
    return [name for name in folder.folders() if re.fullmatch(r"epoch-\d{4}", name)]


def _parse(source: Folder, description: Any, model: bytes, optimizer: bytes, device: torch.device) -> Checkpoint:
    """The checkpoint in `source`, from its three files."""
    try:
        model_tensors = load(model)
        checkpoint = Checkpoint(
            metadata=_parse_metadata(description["origin"]),
            history=tuple(EpochMetrics(**epoch) for epoch in description["history"]),
            model={name: tensor.to(device) for name, tensor in model_tensors.items()},
            # The optimizer moves its state itself, and leaves step counters on the CPU, where reading them is free.
            optimizer=_join_optimizer(load(optimizer), description["optimizer"]),
            scaler=description["scaler"],
            test_top1=description.get("test_top1"),
        )
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"checkpoint {source} is intact but cannot be loaded: {reason}") from error
    if _name(checkpoint.epoch) != source.name:
        raise ValueError(f"checkpoint {source} is intact but has {checkpoint.epoch} epochs")
    return checkpoint


def _parse_metadata(values: dict[str, Any]) -> CheckpointMetadata:
    """The metadata from JSON, which has lists for tuples."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        fields[name] = tuple(value) if isinstance(value, list) else value
    return CheckpointMetadata(**fields)


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
