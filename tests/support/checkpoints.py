"""Checkpoints with random weights, for tests of what is done with trained models."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.reports import make_epoch
from trainers.checkpoint import Checkpoint, save_checkpoint
from trainers.metadata import CheckpointMetadata

METADATA = {
    "candidate": "caformer_micro-dwconv-cska-ska-attn",
    "recipe": "quick",
    "recipe_fingerprint": "01234567",
    "data": "shapes",
    "data_fingerprint": "89abcdef",
    "seed": 3,
    "commit": "c0ffee",
    "torch": torch.__version__,
    "img_size": 16,
    "classes": ("dark", "bright", "other"),
    "mean": (0.25,),
    "std": (0.5,),
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "streamed": False,
}


def make_checkpoint(epochs: int) -> Checkpoint:
    """A checkpoint after so many epochs, with two small tensors."""
    return Checkpoint(
        metadata=CheckpointMetadata(**METADATA),
        history=tuple(make_epoch(epoch, 90.0 + epoch) for epoch in range(1, epochs + 1)),
        model={"weight": torch.arange(6.0).view(2, 3)},
        optimizer={
            "state": {0: {"step": torch.tensor(float(epochs)), "exp_avg": torch.ones(2, 3)}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0]}],
        },
        scaler={},
    )


def write_checkpoint(
    folder: Path, top1: float = 61.25, test_top1: float | None = None, noise: float = 0.1, **changes: Any
) -> str:
    """Write a checkpoint of one epoch under `folder` and return that folder. `changes` override METADATA.

    The weights are those of a new model plus `noise` times a normal draw, so that none of them is exactly 0 or 1.
    """
    metadata = CheckpointMetadata(**{**METADATA, **changes})
    torch.manual_seed(0)
    model = build(
        Candidate.parse(metadata.candidate),
        metadata.img_size,
        in_chans=metadata.channels,
        num_classes=len(metadata.classes),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=noise)
    checkpoint = Checkpoint(
        metadata=metadata,
        history=(make_epoch(1, top1),),
        model=model.state_dict(),
        optimizer={"state": {}, "param_groups": []},
        scaler={},
        test_top1=test_top1,
    )
    save_checkpoint(Folder(str(folder)), checkpoint, keep=1)
    return str(folder)


def write_weights(folder: Path, candidate: str = "caformer_micro-dwconv-dwconv-attn-attn") -> str:
    """Write random weights of `candidate`, for the digits, to a file in `folder` and return its path."""
    file = folder / "model.safetensors"
    model = build(Candidate.parse(candidate), 32, in_chans=1, num_classes=10)
    save_file(model.state_dict(), file)
    return str(file)
