"""Loads a trained model from a trial's folder of checkpoints, from one checkpoint, or from an export.

Nothing is unpickled: tensors come from safetensors, and pydantic checks every field of the JSON before it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.checkpoint import DAMAGE, MODEL, TRAINER, newest, read_tensors
from trainers.checkpoint_json import parse_checkpoint_json, parse_json
from trainers.metadata import CheckpointMetadata, Scores

from timm.models.metaformer import MetaFormer

CONFIG = "config.json"  # only an export has this file


@dataclass(frozen=True)
class TrainedModel:
    """A model in eval mode with its trained weights, and what was recorded about it."""

    model: MetaFormer
    metadata: CheckpointMetadata
    scores: Scores


def restore(checkpoint: str, img_size: int | None = None) -> TrainedModel:
    """The trained model of a trial's folder, of one checkpoint or of an export, for images of `img_size` pixels.

    None means the image size of its training. ValueError or OSError says in one line what is missing or damaged.
    """
    folder = Folder(checkpoint)
    is_export = folder.exists(CONFIG)
    source = folder if is_export else newest(folder)
    try:
        metadata, scores, digests = _read(source)
        tensors = read_tensors(source, MODEL, digests)
    except OSError:
        raise
    except DAMAGE as error:
        file = source / (CONFIG if is_export else TRAINER)
        raise ValueError(f"{file} is not what training wrote: {_first_line(error)}") from error
    _require_finite(tensors, source / MODEL)
    model = _build(metadata, tensors, img_size or metadata.img_size, source / MODEL)
    return TrainedModel(model, metadata, scores)


def parse_candidate(text: str) -> Candidate:
    """The candidate that a checkpoint names. The ValueError of an unknown token mixer mentions --space."""
    try:
        return Candidate.parse(text)
    except ValueError as error:
        raise ValueError(f"{error} (--space FILE registers token mixers of your own)") from error


@dataclass(frozen=True)
class _ExportJson:
    """What we read of an export's config.json. timm reads the rest of the file."""

    metadata: Annotated[CheckpointMetadata, Field(alias="origin")]
    scores: Annotated[Scores, Field(alias="facts")]
    digests: dict[str, str]


def _read(source: Folder) -> tuple[CheckpointMetadata, Scores, dict[str, str]]:
    """What an export's config.json or a checkpoint's trainer.json says, and the digests of its files."""
    if source.exists(CONFIG):
        export = parse_json(_ExportJson, source.read(CONFIG))
        return export.metadata, export.scores, export.digests
    checkpoint = parse_checkpoint_json(source.read(TRAINER))
    val_top1 = checkpoint.history[-1].top1
    scores = Scores(len(checkpoint.history), val_top1 if math.isfinite(val_top1) else None, checkpoint.test_top1)
    return checkpoint.metadata, scores, checkpoint.digests


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error).splitlines()[0]


def _require_finite(tensors: dict[str, Tensor], file: Folder) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{file}: {name} is not finite: this training diverged")


def _build(metadata: CheckpointMetadata, tensors: dict[str, Tensor], img_size: int, file: Folder) -> MetaFormer:
    candidate = parse_candidate(metadata.candidate)
    try:
        model = build(candidate, img_size, in_chans=metadata.channels, num_classes=len(metadata.classes))
        model.load_state_dict(tensors)  # static keys are resized to the token grid of `img_size`
    except (TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{file} does not fit {candidate} at {img_size} px: {reason}") from error
    return model.eval()
