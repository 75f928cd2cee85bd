"""The classes of the token mixers, and how users register their own."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

import searchspace.torchvision_ops  # noqa: F401
from searchspace.star_relu import StarReLUSepConv
from searchspace.static_keys import CSKA, SKA
from searchspace.switches import MIXERS, SWITCHES

from timm.models.metaformer import Attention


class SelfAttention(Attention):
    """timm's self-attention, (B, N, D) -> (B, N, D), for any head dim.

    timm's own forward takes its heads to be D wide together.
    """

    def forward(self, x_BND: Tensor) -> Tensor:
        B, N, _ = x_BND.shape
        qkv = self.qkv(x_BND).reshape(B, N, 3, self.num_heads, self.head_dim)
        q_BhNd, k_BhNd, v_BhNd = qkv.permute(2, 0, 3, 1, 4)
        dropout = self.attn_drop.p if self.training else 0.0
        o_BhNd = F.scaled_dot_product_attention(q_BhNd, k_BhNd, v_BhNd, dropout_p=dropout)
        o_BND = o_BhNd.transpose(1, 2).flatten(2)
        return self.proj_drop(self.proj(o_BND))


MIXER_CLASSES: dict[str, type[nn.Module]] = {
    "dwconv": StarReLUSepConv,  # a depthwise convolution of 7 x 7 between two pointwise ones
    "ska": SKA,
    "cska": CSKA,
    "attn": SelfAttention,
}


def register_mixer(name: str, *switches: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Class decorator that makes a token mixer of a user available as `name`, with these fields of `candidate.Stage`.

    The class is called with `dim`, the switches that are set, and further keywords. Subclasses of StaticKeyMixer and of
    timm's Attention map tokens, (B, N, D), and always get their heads; others map (B, D, H, W). ValueError for a name
    that is taken or cannot be spelled, and for an unknown switch.
    """
    if name in MIXERS or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        taken = ", ".join(MIXERS)
        raise ValueError(f"token mixer {name!r}, expected a lower-case word other than {taken}")
    unset = {switch.name: switch.unset for switch in SWITCHES}
    unknown = sorted(set(switches) - set(unset))
    if unknown:
        raise ValueError(f"token mixer {name!r} has switches {unknown}, expected some of {sorted(unset)}")

    def register(cls: type[nn.Module]) -> type[nn.Module]:
        MIXERS[name] = {switch: unset[switch] for switch in switches}
        MIXER_CLASSES[name] = cls
        return cls

    return register
