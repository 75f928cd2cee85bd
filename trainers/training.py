"""One model, one recipe, epoch by epoch. Every random draw of an epoch is a function of the seed and that epoch, so a
checkpoint needs no generator state and a resumed run repeats an uninterrupted one bit for bit (on a CPU)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspace.backbones import build
from searchspace.candidate import Candidate
from trainers.augment import random_crop, random_hflip
from trainers.checkpoint import checkpoints, save_checkpoint
from trainers.data import Array, ImageData, validation_split
from trainers.recipes import Recipe

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

FINITE_CHECK = 50  # steps between looks at the loss, each of which waits for the device
STATISTICS_IMAGES = 2000  # training images that the mean and deviation of pixels are taken from


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: `top1` in percent of the validation split, `lr` at its last step, `seconds` of wall clock.

    A diverged epoch has a loss that is not finite, and no top-1 (NaN).
    """

    epoch: int  # completed epochs, from 1
    train_loss: float
    val_loss: float
    top1: float
    lr: float
    seconds: float
    finished_at: float  # seconds since 1970, UTC

    @property
    def diverged(self) -> bool:
        """Whether a loss stopped being a number."""
        return not (math.isfinite(self.train_loss) and math.isfinite(self.val_loss))


class Trainer:
    """Trains `candidate` by `recipe` with `seed` on `data`; resumes from the newest checkpoint under `folder`."""

    def __init__(
        self,
        candidate: Candidate,
        recipe: Recipe,
        data: ImageData,
        seed: int,
        folder: Path | None = None,
        device: str | None = None,
    ) -> None:
        self.recipe, self.seed, self.folder = recipe, seed, folder
        self.identity = {
            "candidate": str(candidate),
            "recipe": recipe.fingerprint,
            "data": data.fingerprint,
            "seed": seed,
        }
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._place(data)
        self._begin(candidate, data)
        for model, optimizer, trainer in checkpoints(folder, self.device) if folder else ():
            if trainer.get("identity") != self.identity:
                raise ValueError(f"{folder} holds checkpoints of {trainer.get('identity')}, expected {self.identity}")
            try:
                self._restore(model, optimizer, trainer)
                break
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
                self._begin(candidate, data)  # undo what a damaged checkpoint has half loaded

    def _begin(self, candidate: Candidate, data: ImageData) -> None:
        """A model, an optimizer and a schedule as they are before the first epoch."""
        recipe = self.recipe
        torch.manual_seed(self._noise_seed(0))
        self.model: nn.Module = build(
            candidate,
            recipe.img_size,
            in_chans=data.channels,
            num_classes=len(data.classes),
            drop_path_rate=recipe.drop_path,
        )
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = create_optimizer_v2(
            self.model, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.steps_per_epoch = max(1, len(self.train_labels) // recipe.batch_size)
        self.schedule, _ = create_scheduler_v2(
            self.optimizer,
            sched="cosine",
            num_epochs=recipe.epochs,
            warmup_epochs=recipe.warmup_epochs,
            cooldown_epochs=recipe.cooldown_epochs,
            warmup_lr=recipe.warmup_lr,
            min_lr=recipe.min_lr,
            step_on_epochs=not recipe.sched_on_updates,
            updates_per_epoch=self.steps_per_epoch,
        )
        amp = recipe.amp if self.device.type == "cuda" else None
        self.autocast = torch.autocast(self.device.type, getattr(torch, amp or "bfloat16"), enabled=amp is not None)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=amp == "float16")
        self.history: list[Epoch] = []

    @property
    def finished(self) -> bool:
        """Whether the recipe's budget is spent or the run has diverged."""
        return len(self.history) >= self.recipe.budget or (bool(self.history) and self.history[-1].diverged)

    def epochs(self) -> Iterator[Epoch]:
        """Train and yield each epoch that is still missing, after its checkpoint is on disk."""
        while not self.finished:
            start = time.monotonic()
            number = len(self.history)
            train_loss = self._train_epoch(number)
            top1 = val_loss = math.nan
            if math.isfinite(train_loss):
                top1, val_loss = self._evaluate(self.val_images, self.val_labels)
                top1 = top1 if math.isfinite(val_loss) else math.nan
            lr = self.optimizer.param_groups[0]["lr"]
            epoch = Epoch(number + 1, train_loss, val_loss, top1, lr, time.monotonic() - start, time.time())
            self.history.append(epoch)
            self._save()
            yield epoch

    def test(self) -> float:
        """Top-1 in percent on the test images: to be read once, when training is over."""
        return self._evaluate(self.test_images, self.test_labels)[0]

    def _place(self, data: ImageData) -> None:
        kept, held_out = validation_split(data.train_labels, self.recipe.val_fraction)
        self.train_images = self._images(data.train_images[kept])
        self.train_labels = torch.from_numpy(data.train_labels[kept]).to(self.device)
        self.val_images = self._images(data.train_images[held_out])
        self.val_labels = torch.from_numpy(data.train_labels[held_out]).to(self.device)
        self.test_images = self._images(data.test_images.copy())
        self.test_labels = torch.from_numpy(data.test_labels.copy()).to(self.device)
        pixels = data.train_images[kept[:STATISTICS_IMAGES]].reshape(-1, data.channels)
        self.mean = torch.tensor(pixels.mean(0), dtype=torch.float32, device=self.device).view(1, -1, 1, 1)
        self.std = torch.tensor(pixels.std(0), dtype=torch.float32, device=self.device).view(1, -1, 1, 1).clamp(min=1)

    def _images(self, images: Array) -> Tensor:
        """uint8 (n, C, H, W), kept on the device in the channels-last layout it was decoded in."""
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)

    def _noise_seed(self, epoch: int) -> int:
        return self.seed * 1_000_003 + epoch

    def _train_epoch(self, number: int) -> float:
        """Mean training loss of epoch `number`, from 0; NaN or infinite as soon as a step's loss is."""
        seed = self._noise_seed(number + 1)
        torch.manual_seed(seed)  # drop path
        draw = torch.Generator().manual_seed(seed)  # order and augmentation, the same on every device
        order = torch.randperm(len(self.train_labels), generator=draw)
        if not self.recipe.sched_on_updates:
            self.schedule.step(number)
        self.model.train()
        total = torch.zeros((), device=self.device)
        for step in range(self.steps_per_epoch):
            if self.recipe.sched_on_updates:
                self.schedule.step_update(number * self.steps_per_epoch + step)
            batch = order[step * self.recipe.batch_size : (step + 1) * self.recipe.batch_size].to(self.device)
            total += self.step(self._augmented(self.train_images[batch], draw), self.train_labels[batch])
            if step % FINITE_CHECK == 0 and not torch.isfinite(total):
                break
        return total.item() / self.steps_per_epoch

    def _augmented(self, images: Tensor, draw: torch.Generator) -> Tensor:
        if self.recipe.crop_padding:
            images = random_crop(images, self.recipe.crop_padding, draw)
        return random_hflip(images, draw) if self.recipe.hflip else images

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One optimizer step on uint8 images (B, C, H, W); the loss, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            logits = self.model(self._normalised(images))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.scaler.scale(loss).backward()
        if self.recipe.clip_grad is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def _normalised(self, images: Tensor) -> Tensor:
        return ((images.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of uint8 images (B, C, H, W)."""
        with self.autocast:
            return self.model(self._normalised(images)).float()

    def _evaluate(self, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Top-1 in percent and mean cross entropy."""
        self.model.eval()
        right = loss = 0.0
        size = self.recipe.batch_size
        for part, target in zip(images.split(size), labels.split(size), strict=True):
            logits = self.predict(part)
            loss += F.cross_entropy(logits, target, reduction="sum").item()
            right += (logits.argmax(1) == target).sum().item()
        return 100 * right / len(labels), loss / len(labels)

    def _save(self) -> None:
        if self.folder is not None:
            trainer = {
                "identity": self.identity,
                "history": [asdict(epoch) for epoch in self.history],
                "scaler": self.scaler.state_dict(),
            }
            kept = 1 if self.finished else 2  # the newest, and while it matters one to fall back to
            save_checkpoint(
                self.folder, len(self.history), self.model.state_dict(), self.optimizer.state_dict(), trainer, kept
            )

    def _restore(self, model: dict, optimizer: dict, trainer: dict) -> None:
        history = [Epoch(**epoch) for epoch in trainer["history"]]
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        for parameter, values in self.optimizer.state.items():
            # Files hold no memory layout, and a norm of another layout is rounded otherwise.
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter).copy_(value)
        self.scaler.load_state_dict(trainer["scaler"])
        self.history = history
