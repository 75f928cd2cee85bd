"""Checkpoints of models that were never trained, for what is done with trained ones."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.checkpoint import save_checkpoint
from trainers.metadata import CheckpointMetadata

ORIGIN = {
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


def write_checkpoint(
    folder: Path, top1: float = 61.25, test_top1: float | None = None, noise: float = 0.1, **changes: Any
) -> str:
    """One epoch's checkpoint of the model that ORIGIN with `changes` describes; its weights are random."""
    origin = CheckpointMetadata(**{**ORIGIN, **changes})
    torch.manual_seed(0)
    sizes = {"in_chans": origin.channels, "num_classes": len(origin.classes)}
    model = build(Candidate.parse(origin.candidate), origin.img_size, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=noise)  # what begins at 0 or 1 must be told apart as well
    trainer = {"origin": asdict(origin), "history": [{"top1": top1}], "test_top1": test_top1}
    save_checkpoint(Folder(str(folder)), 1, model.state_dict(), {"state": {}, "param_groups": []}, trainer, kept=1)
    return str(folder)
