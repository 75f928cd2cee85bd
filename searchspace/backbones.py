"""Candidates as models, on timm's MetaFormer used whole. Importing this registers the paper's models with timm."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from torch import nn

import searchspace.torchvision_ops  # noqa: F401
from searchspace.candidate import BACKBONES, Backbone, Candidate, Stage
from searchspace.mixers import MIXER_CLASSES, StaticKeyMixer
from searchspace.switches import KEY_STD, MIXERS

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer


def build(candidate: Candidate, img_size: int | tuple[int, int] = 224, **kwargs: Any) -> MetaFormer:
    """The model of `candidate` for images of `img_size` pixels; further arguments go to timm's MetaFormer.

    ValueError if a head count does not divide its stage's channels.
    """
    if problem := candidate.problem():
        raise ValueError(problem)
    spec = BACKBONES[candidate.backbone]
    frame = zip(candidate.stages, candidate.head_dims, candidate.num_heads, spec.grids(img_size), strict=True)
    mixers = [_mixer_class(*stage) for stage in frame]
    norms: list[type[nn.Module]] = [
        LayerNormNoBias if issubclass(mixer, Attention) else LayerNorm2dNoBias for mixer in mixers
    ]
    model = MetaFormer(depths=spec.depths, dims=spec.dims, token_mixers=mixers, norm_layers=norms, **kwargs)
    if spec.name == "caformer_micro":
        _fit_small_images(model, spec)
    return model


def _mixer_class(stage: Stage, head_dim: int, num_heads: int, grid: tuple[int, int]) -> type[nn.Module]:
    cls = MIXER_CLASSES[stage.mixer]
    arguments = stage.switches()
    key_init = arguments.pop("key_init", None)
    if key_init is not None:
        arguments["key_std"] = KEY_STD[key_init]
    takes_heads = issubclass(cls, Attention)
    if takes_heads or "num_heads" in MIXERS[stage.mixer]:
        arguments["num_heads"] = num_heads
    if takes_heads or "head_dim" in MIXERS[stage.mixer]:
        arguments["head_dim"] = head_dim
    if issubclass(cls, StaticKeyMixer):
        arguments["grid"] = grid
    return _bound(cls, **arguments) if arguments else cls


def _bound(cls: type[nn.Module], **arguments: Any) -> type[nn.Module]:
    """`cls` with some arguments given. MetaFormer asks for subclasses, which functools.partial would not be."""
    return type(cls.__name__, (cls,), {"__init__": partialmethod(cls.__init__, **arguments)})


def _fit_small_images(model: MetaFormer, spec: Backbone) -> None:
    """A smaller stem than timm's, and weights drawn by fan-in: a deviation of .02 is too little for so few channels."""
    old = model.stem.conv
    kind: dict[str, Any] = {"device": old.weight.device, "dtype": old.weight.dtype}
    model.stem.conv = nn.Conv2d(old.in_channels, old.out_channels, *spec.stem, **kind)
    for number, info in enumerate(model.feature_info):
        info["reduction"] = spec.stem[1] * 2**number
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()


def metaformer_placement(pretrained: bool = False, *, candidate: str, **kwargs: Any) -> MetaFormer:
    """Any candidate by its text, as in `timm.create_model("metaformer_placement", candidate="caformer_s18-...")`.

    What `python -m trainers export` writes names this, with the candidate in its model_args.
    """
    return _create("metaformer_placement", Candidate.parse(candidate), pretrained, **kwargs)


def _create(name: str, candidate: Candidate, pretrained: bool, **kwargs: Any) -> MetaFormer:
    return build_model_with_cfg(
        lambda **model_kwargs: build(candidate, **model_kwargs),
        name,
        pretrained,
        feature_cfg={"flatten_sequential": True, "out_indices": (0, 1, 2, 3)},
        **kwargs,
    )


def _register(name: str, backbone: str, placement: str) -> None:
    candidate = Candidate.parse(f"{backbone}-{placement}")

    def create(pretrained: bool = False, **kwargs: Any) -> MetaFormer:
        return _create(name, candidate, pretrained, **kwargs)

    create.__name__, create.__module__, create.__doc__ = name, __name__, f"{candidate} (arXiv 2412.07049)."
    globals()[name] = create
    register_model(create)


_PAPER_MODELS = {
    "skaformer_s18": ("caformer_s18", "dwconv-ska-attn-attn"),
    "skaformer_b36": ("caformer_b36", "dwconv-ska-attn-attn"),
    "cskaformer_s18": ("caformer_s18", "dwconv-cska-attn-attn"),
    "cskaformer_b36": ("caformer_b36", "dwconv-cska-attn-attn"),
}

default_cfgs = generate_default_cfgs(
    {
        name: {
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
        for name in (*_PAPER_MODELS, metaformer_placement.__name__)
    }
)

register_model(metaformer_placement)
for _name, _model in _PAPER_MODELS.items():
    _register(_name, *_model)
