"""A trained model as a folder that timm loads: weights, config.json and a model card; and as ONNX."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from safetensors.torch import save
from torch import Tensor

from searchspace.backbones import metaformer_placement
from searchspace.candidate import BACKBONES, Candidate
from searchspace.mixers import MIXER_CLASSES
from storage.digest import digest
from storage.folder import Folder
from trainers.checkpoint import MODEL
from trainers.export.load import CONFIG, restore
from trainers.export.model_card import MARK, card
from trainers.export.onnx_file import require_onnx, to_onnx
from trainers.metadata import CheckpointMetadata, Scores

from timm.models.metaformer import MetaFormer

CARD = "README.md"


def export(where: str, target: str, onnx: str | None) -> list[str]:
    """Write the checkpoint `where` into the folder `target`, and to the file `onnx`; what was written, line by line.

    ValueError or OSError says in one line what is wrong; then nothing is written, or nothing that loads.
    """
    folder = Folder(target)
    _refuse_others(folder)
    if onnx:
        require_onnx()
    model, origin, facts = restore(where)
    lines = [f"exported {origin.candidate} to {folder}"]
    if folder.path:
        lines[0] += f": timm.create_model('local-dir:{folder}', pretrained=True)"
    content = None
    if onnx:
        content, largest = to_onnx(model, origin.channels, origin.img_size)
        lines.append(f"exported {onnx}: largest difference of logits on random images {largest:.1e}")
    _begin(folder, card(origin, facts, folder.name, sum(map(Tensor.numel, model.parameters())), _own_mixers(origin)))
    if onnx and content:
        beside = Folder(onnx).parent
        beside.make()
        beside.write(Folder(onnx).name, content)
    _write(folder, model, origin, facts)
    return lines


def config(model: MetaFormer, origin: CheckpointMetadata) -> dict[str, Any]:
    """What timm reads of config.json."""
    candidate, channels, size = Candidate.parse(origin.candidate), origin.channels, origin.img_size
    return {
        "architecture": metaformer_placement.__name__,
        "num_classes": len(origin.classes),
        "num_features": model.num_features,
        "label_names": origin.classes,
        "model_args": {"candidate": origin.candidate, "img_size": size, "in_chans": channels},
        "pretrained_cfg": {
            "num_classes": len(origin.classes),
            "input_size": (channels, size, size),
            "fixed_input_size": True,
            "pool_size": BACKBONES[candidate.backbone].grids(size)[-1],
            "crop_pct": origin.crop_pct,
            "interpolation": origin.interpolation,
            "mean": origin.mean,
            "std": origin.std,
            "classifier": "head.fc.fc2",
            "first_conv": "stem.conv",
        },
    }


def _begin(folder: Folder, text: str) -> None:
    """Clear an earlier export away, config.json first. The card marks what follows as ours, whatever becomes of it."""
    folder.make()
    for name in (CONFIG, *folder.names()):
        if name != CARD:
            folder.remove(name)
    folder.write(CARD, text.encode())


def _write(folder: Folder, model: MetaFormer, origin: CheckpointMetadata, facts: Scores) -> None:
    """config.json comes last: nothing loads without it."""
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    known = {"origin": asdict(origin), "facts": asdict(facts), "digests": {MODEL: digest(weights)}}
    folder.write(MODEL, weights)
    folder.write(CONFIG, json.dumps({**config(model, origin), **known}, indent=2).encode())


def _own_mixers(origin: CheckpointMetadata) -> list[str]:
    """Token mixers that are not ours."""
    mixers = {stage.mixer for stage in Candidate.parse(origin.candidate).stages}
    return sorted(
        name for name in mixers if MIXER_CLASSES[name].__module__.partition(".")[0] not in ("searchspace", "timm")
    )


def _refuse_others(folder: Folder) -> None:
    """ValueError unless `folder` is empty, missing or an earlier export."""
    names = [*folder.names(), *folder.folders()]
    others = [name for name in names if name not in (MODEL, CONFIG, CARD) and not name.endswith(".onnx")]
    if names and not others and not (CARD in names and MARK in folder.read(CARD).decode(errors="replace")):
        others = names
    if others:
        raise ValueError(f"{folder} holds {others[0]}, expected an empty folder or an earlier export")
