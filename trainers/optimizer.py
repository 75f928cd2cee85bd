"""The recipe's optimizer with what surrounds its steps: learning-rate schedule, loss scaling, gradient clipping."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainers.recipes import Recipe
from trainers.training_model import amp_dtype

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2


class Optimizer:
    """Optimizes all parameters of `model` as `recipe` says. `base` is the optimizer of torch or timm."""

    def __init__(self, model: nn.Module, recipe: Recipe, *, device: torch.device, steps_per_epoch: int) -> None:
        self.model = model
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.base = create_optimizer_v2(
            model,
            opt=recipe.optimizer,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            **_kernel_options(recipe.optimizer, device),
        )
        self.schedule, _ = create_scheduler_v2(
            self.base,
            sched="cosine",
            num_epochs=recipe.epochs,
            warmup_epochs=recipe.warmup_epochs,
            cooldown_epochs=recipe.cooldown_epochs,
            warmup_lr=recipe.warmup_lr,
            min_lr=recipe.min_lr,
            step_on_epochs=not recipe.sched_on_updates,
            updates_per_epoch=steps_per_epoch,
        )
        # Gradients in float16 are scaled so that small ones do not vanish.
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp_dtype(recipe.amp, device) == torch.float16)

    @property
    def lr(self) -> float:
        """The learning rate of the current step."""
        return self.base.param_groups[0]["lr"]

    def set_lr(self, epoch: int, step: int) -> None:
        """Follow the schedule to step `step` of epoch `epoch`, both from 0."""
        if self.recipe.sched_on_updates:
            self.schedule.step_update(epoch * self.steps_per_epoch + step)
        elif step == 0:
            self.schedule.step(epoch)

    def zero_grad(self) -> None:
        """Drop the gradients of the step before."""
        self.base.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to those of the step's earlier micro-batches."""
        self.scaler.scale(loss).backward()

    def step(self) -> None:
        """Clip the gradients and update the parameters."""
        if self.recipe.clip_grad is not None:
            self.scaler.unscale_(self.base)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.scaler.step(self.base)
        self.scaler.update()

    def load_state_dicts(self, optimizer: dict[str, Any], scaler: dict[str, Any]) -> None:
        """Restore the state dicts of `base` and of `scaler`."""
        self.base.load_state_dict(optimizer)
        for parameter, values in self.base.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    # Files hold no memory layout, and a norm is rounded differently in another layout.
                    values[name] = torch.empty_like(parameter).copy_(value)
        if scaler:
            self.scaler.load_state_dict(scaler)


def _kernel_options(name: str, device: torch.device) -> dict[str, Any]:
    """Further arguments of the optimizer: torch's AdamW updates all parameters in one kernel on a GPU if asked to.

    timm's LAMB has no such kernel; it works on lists of parameters by itself.
    """
    is_fusible = name == "adamw" and device.type == "cuda"
    return {"fused": True} if is_fusible else {}
