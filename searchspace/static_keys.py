"""SKA and CSKA (arXiv 2412.07049, section 4): attention whose keys are learned parameters, one for each token.

Letters in names of tensors: B batch, N tokens of the grid (also H x W), D channels, h heads, d channels of a head,
k kernel size, P values under a kernel (d * k * k).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import searchspace.torchvision_ops  # noqa: F401

from timm.layers import resample_abs_pos_embed_nhwc, trunc_normal_
from timm.models.metaformer import Attention


class StaticKeyMixer(Attention):
    """What SKA and CSKA share: (B, N, D) -> (B, N, D) on the token grid that it was built for.

    It is a subclass of timm's Attention because MetaFormer hands tokens, not maps, to those only. ValueError if the
    heads do not divide the channels, or do not fill them where there is no query projection.
    """

    # Names of the parameters that belong to keys. They are (h, H, W, ...), and are resized on loading at another grid.
    per_key: tuple[str, ...] = ()

    def __init__(  # noqa: PLR0913  these are timm's and the switches
        self,
        dim: int,
        num_heads: int,
        grid: tuple[int, int],
        *,
        head_dim: int | None = None,
        query: bool = True,
        scale: bool = True,
        softmax: bool = True,
        proj_drop: float = 0.0,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Module.__init__(self)  # timm's own __init__ would create a key projection
        if not head_dim and dim % num_heads:
            raise ValueError(f"{dim} channels do not divide into {num_heads} heads")
        self.grid = grid
        self.num_heads = num_heads
        self.head_dim = head_dim or dim // num_heads
        inner_dim = self.num_heads * self.head_dim
        if not query and inner_dim != dim:
            raise ValueError(f"without q, {num_heads} heads of {head_dim} must make {dim} channels")
        self.scale = self.head_dim**-0.5 if scale else 1.0
        self.softmax = softmax
        factory_kwargs: dict[str, Any] = {"device": device, "dtype": dtype}
        self.query = query
        # One matrix, as in the authors' code: LAMB computes one trust ratio for q and v together.
        if query:
            self.qv = nn.Linear(dim, 2 * inner_dim, bias=False, **factory_kwargs)
        else:
            self.v = nn.Linear(dim, inner_dim, bias=False, **factory_kwargs)
        self.proj = nn.Linear(inner_dim, dim, bias=False, **factory_kwargs)
        self.proj_drop = nn.Dropout(proj_drop)

    @property
    def num_tokens(self) -> int:
        """Tokens of the grid, N."""
        return self.grid[0] * self.grid[1]

    def extra_repr(self) -> str:
        return f"heads={self.num_heads}, grid={self.grid}, scale={self.scale:.4g}, softmax={self.softmax}"

    def forward(self, x_BND: Tensor) -> Tensor:
        B, N, _ = x_BND.shape
        height, width = self.grid
        if height * width != N:
            raise ValueError(f"{N} tokens, expected the {height} x {width} grid this mixer was built for")
        q_BND, v_BND = self.queries_and_values(x_BND)
        v_BNhd = v_BND.view(B, N, self.num_heads, self.head_dim)
        v_BhNd = v_BNhd.transpose(1, 2)
        o_BhNd = self.mix(q_BND, v_BhNd)
        o_BND = o_BhNd.transpose(1, 2).flatten(2)
        return self.proj_drop(self.proj(o_BND))

    def queries_and_values(self, x_BND: Tensor) -> tuple[Tensor, Tensor]:
        """q and v of the tokens, (B, N, h d) each. Without a query projection q is x."""
        if not self.query:
            return x_BND, self.v(x_BND)
        q_BND, v_BND = self.qv(x_BND).chunk(2, dim=-1)
        return q_BND, v_BND

    def mix(self, q_BND: Tensor, v_BhNd: Tensor) -> Tensor:
        """Attention itself: (B, N, h d) queries and (B, h, N, d) values -> (B, h, N, d)."""
        raise TypeError(f"{type(self).__name__} is not a token mixer: use SKA or CSKA")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        join_queries_and_values(state_dict, prefix)
        for name in self.per_key:
            key = prefix + name
            loaded = state_dict.get(key)
            parameter = getattr(self, name)
            if loaded is None or parameter is None:
                continue
            # With other heads or channels it is left to torch, which refuses it.
            if _same_but_for_grid(loaded, parameter):
                state_dict[key] = self._resized(loaded)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _resized(self, loaded_hHW: Tensor) -> Tensor:
        """A parameter of a model with another grid, interpolated to this one as timm does with position embeddings."""
        height, width = loaded_hHW.shape[1:3]
        if (height, width) == self.grid:
            return loaded_hHW
        other_dims = loaded_hHW.shape[3:]
        flat_HWC = loaded_hHW.movedim(0, 2).flatten(2)
        resized_HWC = resample_abs_pos_embed_nhwc(flat_HWC, list(self.grid))[0]
        resized_hHW = resized_HWC.view(*self.grid, self.num_heads, *other_dims).movedim(2, 0)
        # Without softmax the output is a sum over keys: the more keys, the less each must weigh.
        weight = 1.0
        if not self.softmax:
            weight = height * width / self.num_tokens
        return resized_hHW.contiguous() * weight


class SKA(StaticKeyMixer):
    """Static key attention (section 4.1, algorithm 1): softmax(q K^T) v with a learned K of shape (h, N, d).

    The keys are drawn from a normal distribution of standard deviation `key_std`.
    """

    per_key = ("key",)

    def __init__(
        self,
        dim: int,
        num_heads: int,
        grid: tuple[int, int],
        *,
        key_std: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dim, num_heads, grid, **kwargs)
        key_hHWd = torch.empty(num_heads, *grid, self.head_dim, **_factory_kwargs(self.proj.weight))
        self.key = nn.Parameter(key_hHWd)
        nn.init.normal_(self.key, std=key_std)

    def mix(self, q_BND: Tensor, v_BhNd: Tensor) -> Tensor:
        B, N, _ = q_BND.shape
        q_BNhd = q_BND.view(B, N, self.num_heads, self.head_dim)
        q_BhNd = q_BNhd.transpose(1, 2)
        key_hNd = self.key.flatten(1, 2)
        if self.softmax:
            key_BhNd = key_hNd.expand(v_BhNd.shape)
            return F.scaled_dot_product_attention(q_BhNd, key_BhNd, v_BhNd, scale=self.scale)
        key_hNd = key_hNd * self.scale
        # Without softmax the two products can be taken in either order: the cheaper one goes first.
        if self.num_tokens >= self.head_dim:
            return q_BhNd @ (key_hNd.mT @ v_BhNd)
        return (q_BhNd @ key_hNd.mT) @ v_BhNd


class CSKA(StaticKeyMixer):
    """Convolutional static key attention (section 4.2): a grouped convolution of the queries gives the logits.

    It has a kernel for each head and key: weight (h, H, W, d, k, k) and bias (h, H, W). The weight is drawn from a
    truncated normal distribution of standard deviation `key_std`, the bias starts at zero.
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
        factory_kwargs = _factory_kwargs(self.proj.weight)
        self.kernel_size = kernel_size
        kernel = (self.head_dim, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(num_heads, *grid, *kernel, **factory_kwargs))
        zeros_hHW = torch.zeros(num_heads, *grid, **factory_kwargs)
        self.register_parameter("bias", nn.Parameter(zeros_hHW) if bias else None)
        trunc_normal_(self.weight, std=key_std)

    def mix(self, q_BND: Tensor, v_BhNd: Tensor) -> Tensor:
        B, _, D = q_BND.shape
        q_BDHW = q_BND.mT.reshape(B, D, *self.grid)
        weight_hNdkk = self.weight.flatten(1, 2) * self.scale
        bias_hN = None
        if self.bias is not None:
            bias_hN = self.bias.flatten(1, 2) * self.scale
        if not self.softmax and self._is_cheaper_without_map():
            return self._mix_without_map(q_BDHW, weight_hNdkk, bias_hN, v_BhNd)
        weight_Cdkk = weight_hNdkk.flatten(0, 1)
        bias_C = None
        if bias_hN is not None:
            bias_C = bias_hN.flatten()
        padding = self.kernel_size // 2
        logits_BCHW = F.conv2d(q_BDHW, weight_Cdkk, bias_C, padding=padding, groups=self.num_heads)
        # Rows of this map are keys and columns are queries. Queries first would need a transposed copy.
        map_BhNN = logits_BCHW.view(-1, self.num_heads, self.num_tokens, self.num_tokens)
        if self.softmax:
            map_BhNN = map_BhNN.softmax(dim=2)
        return (v_BhNd.mT @ map_BhNN).mT

    def _is_cheaper_without_map(self) -> bool:
        """Compares the multiply-adds for each token and channel of the two ways to compute the output."""
        area = self.kernel_size**2
        without_map = 2 * area * self.head_dim
        with_map = (area + 1) * self.num_tokens
        return without_map < with_map

    def _mix_without_map(self, q_BDHW: Tensor, weight_hNdkk: Tensor, bias_hN: Tensor | None, v_BhNd: Tensor) -> Tensor:
        """`mix` without softmax, by summing over the keys first.

        Each image then has its own convolution kernel v^T W, and the cost is linear in N.
        """
        B, h, N, d = v_BhNd.shape
        kernel_BhdP = v_BhNd.mT @ weight_hNdkk.flatten(2)
        bias_Bh1d = None
        if bias_hN is not None:
            bias_Bh1d = bias_hN.unsqueeze(1) @ v_BhNd
        # ONNX has no convolution of B * h groups where B is not a constant, and cuDNN has no fast one of so many.
        if q_BDHW.is_cuda or torch.compiler.is_exporting():
            o_BhNd = self._convolve_patches(q_BDHW, kernel_BhdP)
            return o_BhNd if bias_Bh1d is None else o_BhNd + bias_Bh1d
        padding = self.kernel_size // 2
        o_1CHW = F.conv2d(
            q_BDHW.reshape(1, -1, *self.grid),
            kernel_BhdP.view(B * h * d, d, self.kernel_size, self.kernel_size),
            None if bias_Bh1d is None else bias_Bh1d.flatten(),
            padding=padding,
            groups=B * h,
        )
        return o_1CHW.view(B, h, d, N).mT

    def _convolve_patches(self, q_BDHW: Tensor, kernel_BhdP: Tensor) -> Tensor:
        """Each image's convolution of q with its own kernels, (B, h, d, P), as a product of matrices: (B, h, N, d)."""
        patches_BKN = F.unfold(q_BDHW, self.kernel_size, padding=self.kernel_size // 2)
        patches_BhPN = patches_BKN.unflatten(1, (self.num_heads, -1))
        return (kernel_BhdP @ patches_BhPN).mT


def join_queries_and_values(state_dict: dict[str, Tensor], prefix: str) -> None:
    """Join, in place, the matrices q and v of a mixer that was saved while they were two parameters."""
    queries = state_dict.get(f"{prefix}q.weight")
    values = state_dict.get(f"{prefix}v.weight")
    if queries is None or values is None:
        return
    del state_dict[f"{prefix}q.weight"]
    del state_dict[f"{prefix}v.weight"]
    state_dict[f"{prefix}qv.weight"] = torch.cat([queries, values])


def _same_but_for_grid(loaded_hHW: Tensor, parameter_hHW: Tensor) -> bool:
    """Whether two parameters of keys have the same shape, apart from height and width of their grids."""
    same_heads = len(loaded_hHW) == len(parameter_hHW)
    return same_heads and loaded_hHW.shape[3:] == parameter_hHW.shape[3:]


def _factory_kwargs(weight: Tensor) -> dict[str, Any]:
    """The device and the type of `weight`, as arguments for another tensor."""
    return {"device": weight.device, "dtype": weight.dtype}
