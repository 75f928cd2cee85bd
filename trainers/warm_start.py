"""Warm start: a model begins with the weights that it shares with a trained one; the rest is new and trained first."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from searchspace.backbones import build
from searchspace.candidate import CAFORMER_PLACEMENT, Candidate
from searchspace.static_keys import join_queries_and_values
from trainers.recipes import Recipe

import timm

# timm's tags of weights trained on ImageNet-1k only.
PRETRAINED = {"caformer_s18": "caformer_s18.sail_in1k", "caformer_b36": "caformer_b36.sail_in1k"}


@dataclass(frozen=True)
class Weights:
    """Trained tensors by parameter name, and the candidate (as text) that they belong to."""

    name: str
    candidate: str
    tensors: dict[str, Tensor]

    def __str__(self) -> str:
        return f"{self.name}-{self.fingerprint}"

    def __reduce__(self) -> tuple[Callable[..., Weights], tuple[str, str, bytes]]:
        # torch sends tensors to other processes through shared memory, of which containers have little. Bytes are not.
        return _from_bytes, (self.name, self.candidate, save(self.tensors))

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of the candidate and of every tensor's name, type, shape and content."""
        digest = hashlib.blake2b(self.candidate.encode(), digest_size=4)
        for name, tensor in sorted(self.tensors.items()):
            header = f"{name}{tensor.dtype}{tuple(tensor.shape)}"
            content = tensor.contiguous().flatten().view(torch.uint8).numpy()
            digest.update(header.encode())
            digest.update(content.data)
        return digest.hexdigest()


def warm_start(recipe: Recipe, init: str | None) -> tuple[Recipe, Weights]:
    """The recipe with `init` set to the weights' name and fingerprint, and the weights. Errors as in load_weights."""
    if not init:
        raise ValueError(f"recipe {recipe.name!r} needs --init: pretrained, or a .safetensors file")
    weights = load_weights(init, recipe.backbone)
    return replace(recipe, init=str(weights)), weights


def load_weights(init: str, backbone: str) -> Weights:
    """timm's weights of `backbone` if `init` is "pretrained", else those of the .safetensors file `init`.

    The candidate of a file is read from config.json (of an export) or trainer.json (of a checkpoint) beside it. Without
    either, the baseline of the backbone is assumed. ValueError or OSError says in one line what is wrong.
    """
    if init == "pretrained":
        weights = _load_pretrained(backbone)
    else:
        file = Path(init).expanduser()
        candidate = _candidate_beside(file) or f"{backbone}-{CAFORMER_PLACEMENT}"
        weights = Weights(candidate, candidate, _read_safetensors(file))
    _require_backbone(weights, init, backbone)
    return weights


def load_shared_weights(model: nn.Module, candidate: Candidate, weights: Weights) -> set[str]:
    """Load into `model`, which is `candidate`, the tensors it shares with `weights`. Returns the names of its new
    parameters, which keep their random values.

    Shared are the frame, the token mixers of every stage that both candidates spell alike (static keys are resized to
    the token grid), and the stem and the last layer of the classifier if their shapes fit.
    """
    shared: dict[str, Tensor] = {}
    given_groups = _group_tensors(weights.tensors)
    target_groups = _group_tensors(model.state_dict())
    for group, targets in target_groups.items():
        given = given_groups.get(group, {})
        if _same_mixer(group, candidate, weights) and _all_fit(model, given, targets):
            for name, target in targets.items():
                shared[name] = _as_linear_or_conv(given[name], target)
    model.load_state_dict(shared, strict=False)
    return {name for name, _ in model.named_parameters() if name not in shared}


def freeze(model: nn.Module, trained: set[str]) -> None:
    """Freeze every parameter that is not named in `trained`. An empty set freezes nothing."""
    train_all = not trained
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(train_all or name in trained)


def _from_bytes(name: str, candidate: str, tensors: bytes) -> Weights:
    return Weights(name, candidate, load(tensors))


def _group_tensors(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors in groups that are loaded as a whole or not at all.

    "0" to "3" are the token mixers of a stage, "stem" and "classifier" depend on the images and classes, and "frame" is
    the rest of the backbone.
    """
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        mixer = re.match(r"stages\.(\d)\.blocks\.\d+\.token_mixer\.", name)
        if mixer:
            group = mixer[1]
        elif name.startswith("stem."):
            group = "stem"
        elif name.startswith("head.fc.fc2."):
            group = "classifier"
        else:
            group = "frame"
        groups[group][name] = tensor
    return groups


def _same_mixer(group: str, candidate: Candidate, weights: Weights) -> bool:
    """Whether both candidates spell a stage's token mixer alike; True for groups that are not a stage.

    Names and shapes do not tell: the projection of an SKA stage fits into an attention stage.
    """
    if not group.isdigit():
        return True
    stage = int(group)
    given_stages = weights.candidate.split("-")[1:]
    return given_stages[stage] == str(candidate.stages[stage])


def _all_fit(model: nn.Module, given: dict[str, Tensor], targets: dict[str, Tensor]) -> bool:
    if given.keys() != targets.keys():
        return False
    return all(_fits(model, name, given[name], target) for name, target in targets.items())


def _fits(model: nn.Module, name: str, given: Tensor, target: Tensor) -> bool:
    """Whether the model can load `given` in place of `target`. Static keys (heads, H, W, dim) fit any token grid."""
    module, _, leaf = name.rpartition(".")
    static_keys = getattr(model.get_submodule(module), "per_key", ())
    if leaf in static_keys:
        same_heads = given.shape[0] == target.shape[0]
        same_dim = given.shape[3:] == target.shape[3:]
        return same_heads and same_dim
    return _linear_shape(given) == _linear_shape(target)


def _as_linear_or_conv(given: Tensor, target: Tensor) -> Tensor:
    """`given` in the shape of `target`. A stage's MLP has linear layers or 1 x 1 convolutions, as its mixer needs."""
    if given.ndim == target.ndim:
        return given
    return given.reshape(target.shape)


def _linear_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape; for the weight of a 1 x 1 convolution, that of the equivalent linear layer."""
    shape = tuple(tensor.shape)
    if shape[2:] == (1, 1):
        return shape[:2]
    return shape


def _load_pretrained(backbone: str) -> Weights:
    tag = PRETRAINED.get(backbone)
    if tag is None:
        known = ", ".join(PRETRAINED)
        raise ValueError(f"timm has no weights of {backbone}, only of {known}: name a .safetensors file instead")
    try:
        model = timm.create_model(tag, pretrained=True)
    except Exception as error:  # the hub's client raises OSError, RuntimeError and others
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(f"{tag} cannot be downloaded; name a .safetensors file of it instead: {reason}") from error
    return Weights(tag, f"{backbone}-{CAFORMER_PLACEMENT}", dict(model.state_dict()))


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        raise ValueError(f"weights from {file}, expected pretrained, or a .safetensors file")
    try:
        tensors = load(file.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"no weights at {file}, expected pretrained, or a .safetensors file") from None
    except SafetensorError as error:
        raise ValueError(f"{file} is no safetensors file: {str(error).splitlines()[0]}") from error
    for name in list(tensors):
        if name.endswith(".token_mixer.q.weight"):
            join_queries_and_values(tensors, name.removesuffix("q.weight"))
    return tensors


def _candidate_beside(file: Path) -> str | None:
    """The candidate that the JSON of an export or a checkpoint in the same folder names, or None."""
    for name in ("config.json", "trainer.json"):
        try:
            content = json.loads((file.parent / name).read_text())
            return str(content["origin"]["candidate"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _require_backbone(weights: Weights, init: str, backbone: str) -> None:
    """ValueError unless the weights contain every tensor of the backbone's frame."""
    baseline = build(Candidate.parse(f"{backbone}-{CAFORMER_PLACEMENT}"), device=torch.device("meta"))
    frame = _group_tensors(baseline.state_dict())["frame"]
    matching = 0
    for name, target in frame.items():
        given = weights.tensors.get(name)
        if given is not None and _linear_shape(given) == _linear_shape(target):
            matching += 1
    if matching < len(frame):
        raise ValueError(f"{init} is not of {backbone}: {matching} of the {len(frame)} tensors of its frame match")
