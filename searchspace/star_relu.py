"""StarReLU, s relu(x)^2 + b, as one function that keeps only relu(x) for its backward pass.

timm's module is four operations, of which autograd keeps several results. The function gives the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.fx
from torch import Tensor

import searchspace.torchvision_ops  # noqa: F401

from timm.models.metaformer import SepConv
from timm.models.metaformer import StarReLU as TimmStarReLU


class StarReLU(TimmStarReLU):
    """timm's module with a cheaper forward and backward pass, for tensors of any shape.

    Under autocast the result has the type of x. It is rounded once, where the next layer's cast would round timm's.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_scripting() or torch.jit.is_tracing():  # neither can save a function of our own
            return self.scale * self.relu(x) ** 2 + self.bias
        return star_relu(x, self.scale, self.bias)


class StarReLUSepConv(SepConv):
    """timm's separable convolution with the StarReLU above."""

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(dim, act1_layer=StarReLU, **kwargs)


def star_relu(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """s relu(x)^2 + b, with s and b of shape (1,). Can be differentiated once; torch.compile fuses it by itself."""
    if torch.compiler.is_compiling():
        return scale * torch.relu(x) ** 2 + bias
    return _StarReLU.apply(x, scale, bias)


torch.fx.wrap("star_relu")  # a tracer records the call and does not look into it


class _StarReLU(torch.autograd.Function):
    """Computes in float32 if x is narrower, as autocast on a GPU does with the power in timm's module."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        relu = x.relu()
        ctx.save_for_backward(relu, scale)
        wide = relu.to(scale.dtype)
        squared = wide * wide
        return squared.mul_(scale).add_(bias).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if torch.is_grad_enabled():  # create_graph: relu(x) alone does not lead back to x
            raise RuntimeError("StarReLU can be differentiated once; use timm's module for second derivatives")
        relu, scale = ctx.saved_tensors
        needs_x, needs_scale, needs_bias = ctx.needs_input_grad
        wide = relu.to(scale.dtype)
        grad = grad.to(scale.dtype)
        grad_x = None
        grad_scale = None
        if needs_x:
            # Multiplying by 2 is exact, so its place among the factors does not matter.
            grad_x = (grad * (2 * scale)).mul_(wide).to(relu.dtype)
        if needs_scale:
            grad_scale = (wide * wide).mul_(grad).sum_to_size(scale.shape)
        grad_bias = grad.sum_to_size(scale.shape) if needs_bias else None
        return grad_x, grad_scale, grad_bias
