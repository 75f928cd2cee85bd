"""SKA and CSKA (arXiv 2412.07049, section 4): attention whose keys are learned parameters, one for each token.

Letters in names: B batch, N tokens of the grid (also H x W), D channels, h heads, d channels per head, k kernel size,
P values under a kernel (d k k).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import searchspace.torchvision_ops  # noqa: F401
from searchspace.switches import MIXERS, SWITCHES

from timm.layers import resample_abs_pos_embed_nhwc, trunc_normal_
from timm.models.metaformer import Attention, SepConv


class StaticKeyMixer(Attention):
    """(B, N, D) -> (B, N, D) on a fixed token grid. A subclass of timm's Attention so that a stage hands it tokens.

    Parameters named in `per_key` have shape (h, H, W, ...) and are resized on loading at another grid.
    """

    per_key: tuple[str, ...] = ()

    def __init__(
        self,
        dim: int,
        num_heads: int,
        grid: tuple[int, int],
        head_dim: int | None = None,
        query: bool = True,
        scale: bool = True,
        softmax: bool = True,
        proj_drop: float = 0.0,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Module.__init__(self)  # timm's own __init__ would make a key projection
        if not head_dim and dim % num_heads:
            raise ValueError(f"{dim} channels do not divide into {num_heads} heads")
        self.num_heads, self.head_dim, self.grid = num_heads, head_dim or dim // num_heads, grid
        inner = self.num_heads * self.head_dim
        if not query and inner != dim:
            raise ValueError(f"without q, {num_heads} heads of {head_dim} must make {dim} channels")
        self.scale = self.head_dim**-0.5 if scale else 1.0
        self.softmax = softmax
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.q = nn.Linear(dim, inner, bias=False, **kind) if query else nn.Identity()
        self.v = nn.Linear(dim, inner, bias=False, **kind)
        self.proj = nn.Linear(inner, dim, bias=False, **kind)
        self.proj_drop = nn.Dropout(proj_drop)

    @property
    def num_tokens(self) -> int:
        """Tokens of the grid, N."""
        return self.grid[0] * self.grid[1]

    def extra_repr(self) -> str:
        return f"heads={self.num_heads}, grid={self.grid}, scale={self.scale:.4g}, softmax={self.softmax}"

    def forward(self, x_BND: Tensor) -> Tensor:
        B, N, _ = x_BND.shape
        if self.num_tokens != N:
            raise ValueError(f"{N} tokens, expected the {self.grid[0]} x {self.grid[1]} grid this mixer was built for")
        v_BhNd = self.v(x_BND).view(B, N, self.num_heads, self.head_dim).transpose(1, 2)
        o_BhNd = self.mix(self.q(x_BND), v_BhNd)
        return self.proj_drop(self.proj(o_BhNd.transpose(1, 2).flatten(2)))

    def mix(self, q_BND: Tensor, v_BhNd: Tensor) -> Tensor:
        """(B, N, h d) queries and (B, h, N, d) values -> (B, h, N, d)."""
        raise TypeError(f"{type(self).__name__} is not a token mixer: use SKA or CSKA")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in self.per_key:
            loaded, own = state_dict.get(prefix + name), getattr(self, name)
            # Other heads or channels are left for torch to refuse.
            if (
                loaded is not None
                and own is not None
                and (len(loaded), *loaded.shape[3:]) == (len(own), *own.shape[3:])
            ):
                state_dict[prefix + name] = self._resized(loaded)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _resized(self, loaded_hHW: Tensor) -> Tensor:
        old_grid = tuple(loaded_hHW.shape[1:3])
        if old_grid == self.grid:
            return loaded_hHW
        inner = loaded_hHW.shape[3:]
        flat_HWC = loaded_hHW.movedim(0, 2).flatten(2)
        resized_HWC = resample_abs_pos_embed_nhwc(flat_HWC, list(self.grid))[0]
        resized = resized_HWC.view(*self.grid, self.num_heads, *inner).movedim(2, 0)
        # Without softmax the output is a sum over keys: more keys must weigh less each.
        weight = 1.0 if self.softmax else old_grid[0] * old_grid[1] / self.num_tokens
        return resized.contiguous() * weight


class SKA(StaticKeyMixer):
    """Static key attention (section 4.1, algorithm 1): softmax(q K^T) v with a learned K of shape (h, N, d).

    `key_std` is the standard deviation that the keys are drawn with.
    """

    per_key = ("key",)

    def __init__(self, dim: int, num_heads: int, grid: tuple[int, int], *, key_std: float = 1.0, **kwargs: Any) -> None:
        super().__init__(dim, num_heads, grid, **kwargs)
        self.key = nn.Parameter(torch.empty(num_heads, *grid, self.head_dim, **_like(self.v.weight)))
        nn.init.normal_(self.key, std=key_std)

    def mix(self, q_BND: Tensor, v_BhNd: Tensor) -> Tensor:
        q_BhNd = q_BND.view(*q_BND.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)
        key_hNd = self.key.flatten(1, 2)
        if self.softmax:
            key_BhNd = key_hNd.expand(v_BhNd.shape)
            return F.scaled_dot_product_attention(q_BhNd, key_BhNd, v_BhNd, scale=self.scale)
        key_hNd = key_hNd * self.scale
        # No softmax stands between the two products, so the cheaper one goes first.
        if self.num_tokens >= self.head_dim:
            return q_BhNd @ (key_hNd.mT @ v_BhNd)
        return (q_BhNd @ key_hNd.mT) @ v_BhNd


class CSKA(StaticKeyMixer):
    """Convolutional static key attention (section 4.2): a grouped convolution of the query map gives the N logits.

    Weight (h, H, W, d, k, k) and bias (h, H, W): one kernel for each head and key; `key_std` is the weights' deviation.
    """

    per_key = ("weight", "bias")
    bias: nn.Parameter | None

    def __init__(
        self,
        dim: int,
        num_heads: int,
        grid: tuple[int, int],
        *,
        key_std: float = 0.02,
        kernel_size: int = 3,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(dim, num_heads, grid, **kwargs)
        kernel = (self.head_dim, kernel_size, kernel_size)
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(num_heads, *grid, *kernel, **_like(self.v.weight)))
        zeros = torch.zeros(num_heads, *grid, **_like(self.v.weight))
        self.register_parameter("bias", nn.Parameter(zeros) if bias else None)
        trunc_normal_(self.weight, std=key_std)

    def mix(self, q_BND: Tensor, v_BhNd: Tensor) -> Tensor:
        q_BDHW = q_BND.mT.reshape(q_BND.shape[0], q_BND.shape[2], *self.grid)
        weight_hNdkk = self.weight.flatten(1, 2) * self.scale
        bias_hN = None if self.bias is None else self.bias.flatten(1, 2) * self.scale
        # Multiply-adds per token and channel: 2 k^2 d for the per-image kernel, (k^2 + 1) N for the map.
        area = self.kernel_size**2
        if not self.softmax and 2 * area * self.head_dim < (area + 1) * self.num_tokens:
            return self._without_map(q_BDHW, weight_hNdkk, bias_hN, v_BhNd)
        logits_BCHW = F.conv2d(
            q_BDHW,
            weight_hNdkk.flatten(0, 1),
            None if bias_hN is None else bias_hN.flatten(),
            padding=self.kernel_size // 2,
            groups=self.num_heads,
        )
        # Rows are keys and columns are queries: the transpose that would put queries first is never made.
        map_BhNN = logits_BCHW.view(-1, self.num_heads, self.num_tokens, self.num_tokens)
        if self.softmax:
            map_BhNN = map_BhNN.softmax(dim=2)
        return (v_BhNd.mT @ map_BhNN).mT

    def _without_map(self, q_BDHW: Tensor, weight_hNdkk: Tensor, bias_hN: Tensor | None, v_BhNd: Tensor) -> Tensor:
        """Sum over keys first: every image then has its own convolution kernel v^T W, and the cost is linear in N."""
        B, h, N, d = v_BhNd.shape
        kernel_BhdP = v_BhNd.mT @ weight_hNdkk.flatten(2)
        bias_Bh1d = None if bias_hN is None else bias_hN.unsqueeze(1) @ v_BhNd
        if torch.compiler.is_exporting():  # ONNX has no convolution of B * h groups where B is not a constant
            patches_BhPN = F.unfold(q_BDHW, self.kernel_size, padding=self.kernel_size // 2).view(B, h, -1, N)
            o_BhNd = (kernel_BhdP @ patches_BhPN).mT
            return o_BhNd if bias_Bh1d is None else o_BhNd + bias_Bh1d
        o_1CHW = F.conv2d(
            q_BDHW.reshape(1, -1, *self.grid),
            kernel_BhdP.view(B * h * d, d, self.kernel_size, self.kernel_size),
            None if bias_Bh1d is None else bias_Bh1d.flatten(),
            padding=self.kernel_size // 2,
            groups=B * h,
        )
        return o_1CHW.view(B, h, d, N).mT


def _like(weight: Tensor) -> dict[str, Any]:
    return {"device": weight.device, "dtype": weight.dtype}


class SelfAttention(Attention):
    """(B, N, D) -> (B, N, D): timm's, with an inner width that may differ from D, which timm's own forward refuses."""

    def forward(self, x: Tensor) -> Tensor:
        B, N, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        dropout = self.attn_drop.p if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)
        return self.proj_drop(self.proj(x))


MIXER_CLASSES: dict[str, type[nn.Module]] = {"dwconv": SepConv, "ska": SKA, "cska": CSKA, "attn": SelfAttention}


def register_mixer(name: str, *switches: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Class decorator: makes a token mixer of one's own known by `name`, with these of a stage's switches.

    Its `__init__` takes `dim`, the switches and further keywords. Subclasses of StaticKeyMixer and of timm's Attention
    map (B, N, D) tokens and get their heads; others map (B, D, H, W). ValueError for a bad name or switch.
    """
    if name in MIXERS or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"token mixer {name!r}, expected a lower-case word other than {', '.join(MIXERS)}")
    unset = {switch.name: switch.unset for switch in SWITCHES}
    unknown = sorted(set(switches) - set(unset))
    if unknown:
        raise ValueError(f"token mixer {name!r} has switches {unknown}, expected some of {sorted(unset)}")

    def register(cls: type[nn.Module]) -> type[nn.Module]:
        MIXERS[name] = {switch: unset[switch] for switch in switches}
        MIXER_CLASSES[name] = cls
        return cls

    return register
