"""A trained model from where it was left: the folder of a trial's checkpoints, one of them, or an export.

Nothing is unpickled: tensors come from safetensors, and every field of the JSON is checked before it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from torch import Tensor

from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.checkpoint import DAMAGE, MODEL, TRAINER, newest, read_tensors
from trainers.metadata import CheckpointMetadata, Scores

from timm.models.metaformer import MetaFormer

CONFIG = "config.json"  # of an export
INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos", "box", "hamming")


def restore(where: str, img_size: int | None = None) -> tuple[MetaFormer, CheckpointMetadata, Scores]:
    """The model in eval mode, for images of `img_size` pixels if not those of its training.

    ValueError or OSError says in one line what is missing or damaged.
    """
    folder = Folder(where)
    exported = folder.exists(CONFIG)
    source = folder if exported else newest(folder)
    name = CONFIG if exported else TRAINER
    try:
        content = _json(source.read(name))
        origin = _checked(CheckpointMetadata, content["origin"])
        facts = _checked(Scores, content["facts"] if exported else _last(content))
        tensors = read_tensors(source, MODEL, content)
    except OSError:
        raise
    except DAMAGE as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ValueError(f"{source / name} is not what training wrote: {reason}") from error
    if odd := [key for key, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{source / MODEL}: {odd[0]} is not finite: this training diverged")
    return _build(origin, tensors, img_size or origin.img_size, str(source / MODEL)), origin, facts


def parse_candidate(text: str) -> Candidate:
    """The candidate of a checkpoint; ValueError with a hint at what may be missing."""
    try:
        return Candidate.parse(text)
    except ValueError as error:
        raise ValueError(f"{error} (--space FILE registers token mixers of your own)") from error


def _build(origin: CheckpointMetadata, tensors: dict[str, Tensor], img_size: int, where: str) -> MetaFormer:
    candidate = parse_candidate(origin.candidate)
    try:
        model = build(candidate, img_size, in_chans=origin.channels, num_classes=len(origin.classes))
        model.load_state_dict(tensors)  # resizes static keys
    except (TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{where} does not fit {candidate} at {img_size} px: {reason}") from error
    return model.eval()


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _last(trainer: dict[str, Any]) -> dict[str, Any]:
    """The facts of a checkpoint as JSON; an epoch that diverged has no top-1."""
    top1 = trainer["history"][-1]["top1"]
    known = not isinstance(top1, float) or math.isfinite(top1)
    return {
        "epochs": len(trainer["history"]),
        "val_top1": top1 if known else None,
        "test_top1": trainer.get("test_top1"),
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(check, value))


# By a field's annotation.
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": _is_whole,
    "float": _is_number,
    "bool": lambda value: type(value) is bool,
    "float | None": lambda value: value is None or _is_number(value),
    "str | None": lambda value: value is None or _is_text(value),
    "tuple[str, ...]": _is_list(_is_text),
    "tuple[float, ...]": _is_list(_is_number),
}
T = TypeVar("T", CheckpointMetadata, Scores)


def _checked(kind: type[T], value: Any) -> T:
    """A JSON object as a dataclass; ValueError names the first field that does not fit."""
    if not isinstance(value, dict):
        raise ValueError(f"no {kind.__name__.lower()} in it")
    given: dict[str, Any] = {}
    for field in fields(kind):
        if field.name not in value and field.default is not MISSING:
            continue
        if field.name not in value or not _CHECKS[str(field.type)](value[field.name]):
            raise ValueError(f"{field.name} is {value.get(field.name)!r:.60}, expected {field.type}")
        one = value[field.name]
        given[field.name] = tuple(one) if isinstance(one, list) else one
    made = kind(**given)
    if isinstance(made, CheckpointMetadata):
        _check_images(made)
    return made


def _check_images(origin: CheckpointMetadata) -> None:
    if len(origin.mean) not in (1, 3) or len(origin.std) != len(origin.mean) or min(origin.std) <= 0:
        raise ValueError(f"mean {origin.mean} and std {origin.std}, expected 1 or 3 of each, and none of std 0")
    if origin.img_size < 1 or not 0 < origin.crop_pct <= 1:
        raise ValueError(f"img_size {origin.img_size} and crop_pct {origin.crop_pct}, expected 1 or more, and 0 to 1")
    if origin.interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation {origin.interpolation!r}, expected one of {', '.join(INTERPOLATIONS)}")
