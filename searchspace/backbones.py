"""Candidates as models: timm's MetaFormer, built with the candidate's token mixers.

Importing this module registers the paper's models with timm, as importing any package of models does: then
`timm.create_model("cskaformer_s18")` knows them. It also makes torchvision importable (see torchvision_ops.py), so it
comes before `import timm`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, partialmethod
from typing import Any

from torch import nn

import searchspace.torchvision_ops  # noqa: F401
from searchspace.backbone_specs import BACKBONES, Backbone
from searchspace.candidate import Candidate, Stage
from searchspace.mixers import MIXER_CLASSES
from searchspace.star_relu import StarReLU
from searchspace.static_keys import StaticKeyMixer
from searchspace.switches import KEY_STD, MIXERS

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer, MlpHead


def build(candidate: Candidate, img_size: int | tuple[int, int] = 224, **kwargs: Any) -> MetaFormer:
    """The model of `candidate` for images of `img_size` pixels, a side or (height, width).

    Further arguments go to timm's MetaFormer. Its `drop_rate` acts where the authors of CAFormer have it, on the hidden
    units of the classifier. ValueError if a head count does not divide its stage's channels.
    """
    problem = candidate.problem()
    if problem:
        raise ValueError(problem)
    spec = BACKBONES[candidate.backbone]
    mixers: list[type[nn.Module]] = []
    norms: list[type[nn.Module]] = []
    stages = zip(candidate.stages, candidate.head_dims, candidate.num_heads, spec.grids(img_size), strict=True)
    for stage, head_dim, num_heads, grid in stages:
        mixer = _mixer_class(stage, head_dim, num_heads, grid)
        mixers.append(mixer)
        norms.append(LayerNormNoBias if issubclass(mixer, Attention) else LayerNorm2dNoBias)
    drop_rate = kwargs.pop("drop_rate", 0.0)
    mlp_act: Any = partial(StarReLU, device=kwargs.get("device"), dtype=kwargs.get("dtype"))
    model = MetaFormer(
        depths=spec.depths,
        dims=spec.dims,
        token_mixers=mixers,
        norm_layers=norms,
        mlp_act=mlp_act,
        **kwargs,
    )
    _drop_hidden_units(model, drop_rate)
    if spec.name == "caformer_micro":
        _fit_small_images(model, spec)
    return model


def _mixer_class(stage: Stage, head_dim: int, num_heads: int, grid: tuple[int, int]) -> type[nn.Module]:
    """The class of the stage's mixer, with everything but what MetaFormer passes already given."""
    cls = MIXER_CLASSES[stage.mixer]
    arguments = stage.changed_switches()
    key_init = arguments.pop("key_init", None)
    if key_init is not None:
        arguments["key_std"] = KEY_STD[key_init]
    is_attention = issubclass(cls, Attention)
    if is_attention or "num_heads" in MIXERS[stage.mixer]:
        arguments["num_heads"] = num_heads
    if is_attention or "head_dim" in MIXERS[stage.mixer]:
        arguments["head_dim"] = head_dim
    if issubclass(cls, StaticKeyMixer):
        arguments["grid"] = grid
    return _with_arguments(cls, arguments) if arguments else cls


def _with_arguments(cls: type[nn.Module], arguments: dict[str, Any]) -> type[nn.Module]:
    """A subclass of `cls` with some arguments given; MetaFormer asks for a class, so functools.partial does not do."""
    return type(cls.__name__, (cls,), {"__init__": partialmethod(cls.__init__, **arguments)})


def _drop_hidden_units(model: MetaFormer, rate: float) -> None:
    """Dropout inside the MLP of the classifier; timm's own argument drops what goes into it."""
    model.drop_rate = rate
    if isinstance(model.head.fc, MlpHead):
        model.head.fc.head_drop.p = rate


def _fit_small_images(model: MetaFormer, spec: Backbone) -> None:
    """Replace timm's stem by a smaller one, and draw all weights anew by their fan-in.

    timm draws them with a standard deviation of .02, which is too small for so few channels.
    """
    old_stem = model.stem.conv
    kernel, stride, padding = spec.stem
    model.stem.conv = nn.Conv2d(
        old_stem.in_channels,
        old_stem.out_channels,
        kernel,
        stride,
        padding,
        device=old_stem.weight.device,
        dtype=old_stem.weight.dtype,
    )
    for number, info in enumerate(model.feature_info):
        info["reduction"] = stride * 2**number
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()


def metaformer_placement(pretrained: bool = False, *, candidate: str, **kwargs: Any) -> MetaFormer:
    """timm's entry point for any candidate: `timm.create_model("metaformer_placement", candidate="caformer_s18-...")`.

    The models that `python -m trainers export` writes name it, with the candidate among their arguments.
    """
    return _create("metaformer_placement", Candidate.parse(candidate), pretrained, **kwargs)


def _create(name: str, candidate: Candidate, pretrained: bool, **kwargs: Any) -> MetaFormer:
    """The model of `candidate` by timm's own builder, which adds pretrained weights, features and configurations."""

    def build_candidate(**model_kwargs: Any) -> MetaFormer:
        return build(candidate, **model_kwargs)

    feature_cfg = {"flatten_sequential": True, "out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(build_candidate, name, pretrained, feature_cfg=feature_cfg, **kwargs)


def _entry_point(name: str, candidate: Candidate) -> Callable[..., MetaFormer]:
    """A function as timm registers it: it is called `name` and belongs to this module."""

    def create(pretrained: bool = False, **kwargs: Any) -> MetaFormer:
        return _create(name, candidate, pretrained, **kwargs)

    create.__name__ = name
    create.__module__ = __name__
    create.__doc__ = f"{candidate} (arXiv 2412.07049)."
    return create


_PAPER_MODELS = {  # CSKA has 16 channels a head, as in the authors' code
    "skaformer_s18": "caformer_s18-dwconv-ska-attn-attn",
    "skaformer_b36": "caformer_b36-dwconv-ska-attn-attn",
    "cskaformer_s18": "caformer_s18-dwconv-cska.h8-attn-attn",
    "cskaformer_b36": "caformer_b36-dwconv-cska.h16-attn-attn",
}

_CFG = {
    "url": "",
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "fixed_input_size": True,
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "mean": IMAGENET_DEFAULT_MEAN,
    "std": IMAGENET_DEFAULT_STD,
    "classifier": "head.fc.fc2",
    "first_conv": "stem.conv",
}
default_cfgs = generate_default_cfgs(dict.fromkeys((*_PAPER_MODELS, "metaformer_placement"), _CFG))

# timm reads an entry point and its configuration from the module that it belongs to, by these names.
register_model(metaformer_placement)
for _name, _text in _PAPER_MODELS.items():
    globals()[_name] = register_model(_entry_point(_name, Candidate.parse(_text)))
