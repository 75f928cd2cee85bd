"""Warm start: what a candidate shares with weights that exist is taken from them, and what is new is trained first."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from searchspace.backbones import build
from searchspace.candidate import CAFORMER_PLACEMENT, Candidate
from trainers.recipes import Recipe

import timm

PRETRAINED = {name: f"{name}.sail_in1k" for name in ("caformer_s18", "caformer_b36")}  # timm's tags
_MIXER = re.compile(r"stages\.(\d)\.blocks\.\d+\.token_mixer\.")


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and the candidate that they were trained in, as text."""

    name: str
    candidate: str
    tensors: dict[str, Tensor]

    def __str__(self) -> str:
        return f"{self.name}-{self.fingerprint}"

    def __reduce__(self) -> tuple[Any, ...]:
        # As bytes: torch would send tensors to other ranks through shared memory, of which containers have little.
        return _unpacked, (self.name, self.candidate, save(self.tensors))

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of the candidate and of all names, shapes and bytes."""
        digest = hashlib.blake2b(self.candidate.encode(), digest_size=4)
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def load_weights(init: str, backbone: str) -> Weights:
    """timm's weights of `backbone` ("pretrained"), or those of a .safetensors file; nothing is unpickled here.

    A file's candidate is read from the config.json (of an export) or trainer.json (of a checkpoint) beside it; without
    them it is taken for the backbone itself. ValueError or OSError says in one line what is wrong.
    """
    if init == "pretrained":
        weights = _pretrained(backbone)
    else:
        file = Path(init).expanduser()
        candidate = _candidate_beside(file) or f"{backbone}-{CAFORMER_PLACEMENT}"
        weights = Weights(candidate, candidate, _read(file))
    _check(weights, init, backbone)
    return weights


def warm_start(recipe: Recipe, init: str | None) -> tuple[Recipe, Weights]:
    """The recipe for a training that begins with the weights that `init` names, and these; as load_weights does."""
    if not init:
        raise ValueError(f"recipe {recipe.name!r} needs --init: pretrained, or a .safetensors file")
    weights = load_weights(init, recipe.backbone)
    return replace(recipe, init=str(weights)), weights


def load_shared_weights(model: nn.Module, candidate: Candidate, weights: Weights) -> set[str]:
    """Load into `model` what `candidate` shares with `weights`; the names of the parameters that it does not.

    Shared is the frame, the token mixers of each stage that both spell alike (static keys too, resized to the grid),
    and the stem and the last layer of the classifier if they fit.
    """
    kept = weights.candidate.split("-")[1:]
    ours, theirs = _parts(model.state_dict()), _parts(weights.tensors)
    taken: dict[str, Tensor] = {}
    for part, own in ours.items():
        # A name and a shape are not enough: SKA's projection would fit into an attention stage.
        if part.isdigit() and kept[int(part)] != str(candidate.stages[int(part)]):
            continue
        given = theirs.get(part, {})
        if given.keys() == own.keys() and all(_fits(model, name, given[name], own[name]) for name in own):
            taken |= {name: _as_linear_or_conv(given[name], own[name]) for name in own}
    model.load_state_dict(taken, strict=False)
    return {name for name, _ in model.named_parameters()} - taken.keys()


def freeze(model: nn.Module, fresh: set[str] | None) -> None:
    """Train only the parameters named in `fresh`; all of them if it is empty or None."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not fresh or name in fresh)


def _unpacked(name: str, candidate: str, tensors: bytes) -> Weights:
    return Weights(name, candidate, load(tensors))


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by what is taken over as one: "frame", "stem", "classifier", and "0" to "3", the mixers of a stage."""
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if mixer := _MIXER.match(name):
            part = mixer[1]
        elif name.startswith("stem."):
            part = "stem"
        else:
            part = "classifier" if name.startswith("head.fc.fc2.") else "frame"
        parts[part][name] = tensor
    return parts


def _fits(model: nn.Module, name: str, given: Tensor, own: Tensor) -> bool:
    module, _, leaf = name.rpartition(".")
    if leaf in getattr(model.get_submodule(module), "per_key", ()):  # of any token grid
        return (len(given), *given.shape[3:]) == (len(own), *own.shape[3:])
    return _plain(given) == _plain(own)


def _as_linear_or_conv(given: Tensor, own: Tensor) -> Tensor:
    """A stage's MLP is made of 1 x 1 convolutions or of linear layers, whichever its token mixer needs."""
    return given if given.ndim == own.ndim else given.reshape(own.shape)


def _plain(tensor: Tensor) -> tuple[int, ...]:
    """The shape, of a 1 x 1 convolution that of the linear layer which computes the same."""
    shape = tuple(tensor.shape)
    return shape[:2] if shape[2:] == (1, 1) else shape


def _pretrained(backbone: str) -> Weights:
    if not (tag := PRETRAINED.get(backbone)):
        known = ", ".join(PRETRAINED)
        raise ValueError(f"timm has no weights of {backbone}, only of {known}: name a .safetensors file instead")
    try:
        model = timm.create_model(tag, pretrained=True)
    except Exception as error:  # OSError, RuntimeError and more, by what fails on the way to the hub
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(f"{tag} cannot be downloaded; name a .safetensors file of it instead: {reason}") from error
    return Weights(tag, f"{backbone}-{CAFORMER_PLACEMENT}", dict(model.state_dict()))


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        raise ValueError(f"weights from {file}, expected pretrained, or a .safetensors file")
    try:
        return load(file.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"no weights at {file}, expected pretrained, or a .safetensors file") from None
    except SafetensorError as error:
        raise ValueError(f"{file} is no safetensors file: {str(error).splitlines()[0]}") from error


def _candidate_beside(file: Path) -> str | None:
    """The candidate that an export or a checkpoint names, or None."""
    for name in ("config.json", "trainer.json"):
        try:
            return str(json.loads((file.parent / name).read_text())["origin"]["candidate"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _check(weights: Weights, init: str, backbone: str) -> None:
    """ValueError unless every tensor of the backbone's frame is among the weights."""
    frame = _parts(
        build(Candidate.parse(f"{backbone}-{CAFORMER_PLACEMENT}"), device=torch.device("meta")).state_dict()
    )["frame"]
    given = weights.tensors
    fit = sum(name in given and _plain(given[name]) == _plain(own) for name, own in frame.items())
    if fit < len(frame):
        raise ValueError(f"{init} is not of {backbone}: {fit} of the {len(frame)} tensors of its frame match")
