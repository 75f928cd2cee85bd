"""A candidate's model on one rank's device, as it is trained.

Adds to the plain model: mixed precision, frozen parameters, and gradients that the ranks average.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspace.backbones import build
from searchspace.candidate import Candidate
from trainers.rank_context import RankContext
from trainers.trial_task import TrainingSetup
from trainers.warm_start import freeze, load_shared_weights

from timm.utils import ModelEmaV3


class TrainingModel:
    """`module` is the plain model, with the weights of `setup` where it shares any; call the methods to train it."""

    def __init__(
        self, candidate: Candidate, setup: TrainingSetup, *, device: torch.device, rank_context: RankContext
    ) -> None:
        recipe = setup.recipe
        self.recipe = recipe
        self.rank_context = rank_context
        self.module: nn.Module = build(
            candidate,
            recipe.img_size,
            in_chans=setup.data.channels,
            num_classes=len(setup.data.classes),
            drop_path_rate=recipe.drop_path,
            drop_rate=recipe.head_dropout,
        )
        self.new_parameters: set[str] = set()  # those that the initial weights lack
        if setup.weights:
            self.new_parameters = load_shared_weights(self.module, candidate, setup.weights)
        self.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: ModelEmaV3 | None = None  # of the weights after each step, if the recipe asks for it
        if recipe.ema_decay is not None:
            # At the start it forgets faster: what the first steps left would outweigh all others in a short training.
            self.average = ModelEmaV3(self.module, recipe.ema_decay, use_warmup=True)
        if recipe.compile and device.type == "cuda":
            self.module.compile()
        self._parallel: nn.Module | None = None
        self._trained: set[str] = set()  # empty: all parameters are trained
        dtype = amp_dtype(setup.recipe.amp, device)
        self._autocast = torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def train_only(self, names: set[str]) -> None:
        """Freeze all parameters but those of these names; an empty set freezes none."""
        if names != self._trained:
            freeze(self.module, names)
            self._trained = names
            self._parallel = None

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of normalised images (B, C, H, W) and labels (B,), or (B, classes) of mixed images."""
        with self._autocast:
            logits = self._wrapped()(images)
            is_mixed = labels.is_floating_point()  # the labels of mixed images have been smoothed already
            smoothing = 0.0 if is_mixed else self.recipe.label_smoothing
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)

    def maybe_no_sync(self, *, sync: bool) -> AbstractContextManager:
        """The context of a loss and its backward pass: without `sync`, the ranks do not average the gradients yet."""
        return self.rank_context.maybe_no_sync(self._wrapped(), sync=sync)

    def update_average(self, step: int) -> None:
        """Take the weights after step `step` of the training, from 1, into their average."""
        if self.average is not None:
            self.average.update(self.module, step)

    def average_state(self) -> dict[str, Tensor] | None:
        """The averaged weights by name, for a checkpoint; None if the recipe has none."""
        return None if self.average is None else self.average.module.state_dict()

    def load_state_dicts(self, weights: Mapping[str, Tensor], average: Mapping[str, Tensor] | None) -> None:
        """Restore the weights and their average. ValueError if one of model and checkpoint has an average alone."""
        self.module.load_state_dict(weights)
        if (average is None) != (self.average is None):
            raise ValueError("only one of recipe and checkpoint has averaged weights")
        if self.average is not None and average is not None:
            self.average.module.load_state_dict(average)

    def _wrapped(self) -> nn.Module:
        """The model that averages its gradients over the ranks.

        It is wrapped at the first step: when a checkpoint has been restored, and with the parameters that are trained
        then, for ranks exchange the gradients of the parameters that were not frozen when the model was wrapped.
        """
        if self._parallel is None:
            self._parallel = self.rank_context.wrap(self.module)
        return self._parallel

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of normalised images (B, C, H, W), in float32."""
        with self._autocast:
            return self.module(images).float()

    @torch.inference_mode()
    def predict_averaged(self, images: Tensor) -> Tensor:
        """`predict` with the averaged weights of a recipe that asks for them."""
        assert self.average is not None
        with self._autocast:
            return self.average.module(images).float()


def amp_dtype(amp: str | None, device: torch.device) -> torch.dtype | None:
    """The type that autocast computes in: the recipe's `amp` on a GPU, None (float32) on a CPU."""
    if amp is None or device.type != "cuda":
        return None
    return getattr(torch, amp)
