"""Exports a trained model as a folder that timm loads (weights, config.json and a model card), and as ONNX.

timm's own `save_for_hf` is not used: it writes to local paths only, replaces no file atomically and records no digests.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from searchspace.backbone_specs import BACKBONES
from searchspace.backbones import metaformer_placement
from searchspace.candidate import Candidate
from searchspace.mixers import MIXER_CLASSES
from storage.digest import digest
from storage.folder import Folder
from trainers.checkpoint import MODEL
from trainers.export.load import CONFIG, TrainedModel, parse_candidate, restore
from trainers.export.model_card import MARK, model_card
from trainers.export.onnx_file import COMPARED_BATCHES, require_onnx, to_onnx
from trainers.memory import images_that_fit
from trainers.metadata import CheckpointMetadata

CARD = "README.md"


def export(checkpoint: str, target: str, onnx_path: str | None) -> list[str]:
    """Export a checkpoint to the folder `target` and, as ONNX, to the file `onnx_path`. Returns lines to print.

    ValueError or OSError says in one line what is wrong. Then `target` holds nothing new that loads.
    """
    folder = Folder(target)
    _refuse_foreign_files(folder)
    if onnx_path:
        require_onnx()
    trained = restore(checkpoint)
    metadata = trained.metadata
    messages = [_exported_message(metadata.candidate, folder)]
    onnx_content = None
    if onnx_path:
        _require_memory(metadata)
        onnx_content, largest = to_onnx(trained.model, metadata.channels, metadata.img_size)
        messages.append(f"exported {onnx_path}: its logits on random images differ by at most {largest:.1e}")
    _begin(folder, trained)
    if onnx_path and onnx_content:
        onnx_folder = Folder(onnx_path).parent
        onnx_folder.make()
        onnx_folder.write(Folder(onnx_path).name, onnx_content)
    _write_model(folder, trained)
    return messages


def timm_config(trained: TrainedModel) -> dict[str, Any]:
    """The entries of config.json that timm reads. They are those that timm's own `save_config_for_hf` writes."""
    metadata = trained.metadata
    channels = metadata.channels
    img_size = metadata.img_size
    backbone = BACKBONES[Candidate.parse(metadata.candidate).backbone]
    return {
        "architecture": metaformer_placement.__name__,
        "num_classes": len(metadata.classes),
        "num_features": trained.model.num_features,
        "label_names": metadata.classes,
        "model_args": {"candidate": metadata.candidate, "img_size": img_size, "in_chans": channels},
        "pretrained_cfg": {
            "num_classes": len(metadata.classes),
            "input_size": (channels, img_size, img_size),
            "fixed_input_size": True,
            "pool_size": backbone.grids(img_size)[-1],
            "crop_pct": metadata.crop_pct,
            "interpolation": metadata.interpolation,
            "mean": metadata.mean,
            "std": metadata.std,
            "classifier": "head.fc.fc2",
            "first_conv": "stem.conv",
        },
    }


def _require_memory(metadata: CheckpointMetadata) -> None:
    """ValueError in one line if the batches that ONNX is compared on do not fit into memory."""
    candidate = parse_candidate(metadata.candidate)
    images = max(COMPARED_BATCHES)
    if images_that_fit(candidate, metadata.img_size, images=images, device=torch.device("cpu")) < images:
        raise ValueError(f"{candidate} at {metadata.img_size} px: {images} images at a time do not fit into memory")


def _exported_message(candidate: str, folder: Folder) -> str:
    message = f"exported {candidate} to {folder}"
    if folder.path:
        message += f": timm.create_model('local-dir:{folder}', pretrained=True)"
    return message


def _begin(folder: Folder, trained: TrainedModel) -> None:
    """Remove an earlier export, config.json first, then write the card.

    The card marks the folder as an export. If the process dies here, the next export may replace it.
    """
    folder.make()
    for name in (CONFIG, *folder.names()):
        if name != CARD:
            folder.remove(name)
    card = model_card(
        trained.metadata,
        trained.scores,
        folder=folder.name,
        num_params=_num_params(trained.model),
        user_mixers=_user_mixers(trained.metadata.candidate),
    )
    folder.write(CARD, card.encode())


def _write_model(folder: Folder, trained: TrainedModel) -> None:
    """Write the weights, then config.json. Nothing loads without config.json, so a crash leaves no half export."""
    state = trained.model.state_dict()
    weights = save({name: tensor.contiguous() for name, tensor in state.items()})
    content = {
        **timm_config(trained),
        "origin": asdict(trained.metadata),
        "facts": asdict(trained.scores),
        "digests": {MODEL: digest(weights)},
    }
    folder.write(MODEL, weights)
    folder.write(CONFIG, json.dumps(content, indent=2).encode())


def _num_params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _user_mixers(candidate: str) -> list[str]:
    """The candidate's token mixers that a user's space file registered, by name."""
    mixers = {stage.mixer for stage in Candidate.parse(candidate).stages}
    user_mixers = []
    for name in sorted(mixers):
        package = MIXER_CLASSES[name].__module__.partition(".")[0]
        if package not in ("searchspace", "timm"):
            user_mixers.append(name)
    return user_mixers


def _refuse_foreign_files(folder: Folder) -> None:
    """ValueError unless the folder is missing, empty or an earlier export."""
    names = [*folder.names(), *folder.folders()]
    if not names:
        return
    for name in names:
        if name not in (MODEL, CONFIG, CARD) and not name.endswith(".onnx"):
            raise ValueError(_refusal(folder, name))
    if CARD not in names or MARK not in folder.read(CARD).decode(errors="replace"):
        raise ValueError(_refusal(folder, names[0]))


def _refusal(folder: Folder, name: str) -> str:
    return f"{folder} holds {name}, expected an empty folder or an earlier export"
