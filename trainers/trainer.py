"""One model, one recipe, epoch by epoch. Every random draw of an epoch is a function of the seed and that epoch, so a
checkpoint needs no generator state and a resumed run repeats an uninterrupted one bit for bit (on a CPU)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspace.backbones import build
from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.checkpoint import DAMAGE, checkpoints, note, save_checkpoint
from trainers.data.batch_loaders import Batch, make_batch_loader
from trainers.data.dataset import ImageDataset
from trainers.data.transforms import INTERPOLATION
from trainers.metadata import CheckpointMetadata
from trainers.rank_context import RankContext
from trainers.recipes import Recipe
from trainers.trial_task import EpochMetrics
from trainers.version import commit
from trainers.warm_start import Weights, freeze, load_shared_weights

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

FINITE_CHECK = 50  # steps between looks at the loss, each of which waits for the device


class Trainer:
    """Trains `candidate` by `recipe` with `seed` on `data`; resumes from the newest checkpoint under `folder`.

    `team`: this rank and how many there are; `micro_batch`: images of one pass, if not what the recipe says; `weights`:
    what to begin with.
    """

    def __init__(
        self,
        candidate: Candidate,
        recipe: Recipe,
        data: ImageDataset,
        seed: int,
        folder: Folder | None = None,
        device: str | None = None,
        team: RankContext | None = None,
        micro_batch: int | None = None,
        workers: int = 0,
        weights: Weights | None = None,
    ) -> None:
        self.recipe, self.seed, self.folder, self.weights = recipe, seed, folder, weights
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.team = team or RankContext()
        self.feed = make_batch_loader(data, recipe, device=self.device, rank_context=self.team, workers=workers)
        micro = micro_batch or recipe.micro(self.device.type)
        self.parts = self.team.parts(self.feed.batch_size, micro)
        self.origin = CheckpointMetadata(
            candidate=str(candidate),
            recipe=recipe.name,
            recipe_fingerprint=recipe.fingerprint,
            data=data.name,
            data_fingerprint=data.fingerprint,
            seed=seed,
            commit=commit(),
            torch=torch.__version__,
            img_size=recipe.img_size,
            classes=data.classes,
            mean=self.feed.mean,
            std=self.feed.std,
            crop_pct=recipe.crop_pct,
            interpolation=INTERPOLATION,
            streamed=recipe.streamed,
            init=recipe.init,
        )
        self._begin()
        for model, optimizer, trainer in checkpoints(folder, self.device) if folder else ():
            if trainer.get("identity") != self.origin.identity:
                found, wanted = trainer.get("identity"), self.origin.identity
                raise ValueError(f"{folder} holds checkpoints of {found}, expected {wanted}")
            try:
                self._restore(model, optimizer, trainer)
                break
            except torch.OutOfMemoryError:
                raise  # that is no damage
            except (*DAMAGE, RuntimeError):
                self._begin()  # undo what a damaged checkpoint has half loaded

    def _begin(self) -> None:
        """A model, an optimizer and a schedule as they are before the first epoch."""
        recipe = self.recipe
        torch.manual_seed(self._noise_seed(0))
        candidate = Candidate.parse(self.origin.candidate)
        self.model: nn.Module = build(
            candidate,
            recipe.img_size,
            in_chans=self.origin.channels,
            num_classes=len(self.origin.classes),
            drop_path_rate=recipe.drop_path,
            drop_rate=recipe.head_dropout,
        )
        self.fresh = load_shared_weights(self.model, candidate, self.weights) if self.weights else set()
        self.alone: set[str] = set()  # the parameters that are trained while all others are frozen
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.compile and self.device.type == "cuda":
            self.model.compile()
        self.parallel = self.team.wrap(self.model)
        self.optimizer = create_optimizer_v2(
            self.model, opt=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.schedule, _ = create_scheduler_v2(
            self.optimizer,
            sched="cosine",
            num_epochs=recipe.epochs,
            warmup_epochs=recipe.warmup_epochs,
            cooldown_epochs=recipe.cooldown_epochs,
            warmup_lr=recipe.warmup_lr,
            min_lr=recipe.min_lr,
            step_on_epochs=not recipe.sched_on_updates,
            updates_per_epoch=self.feed.steps,
        )
        amp = recipe.amp if self.device.type == "cuda" else None
        self.autocast = torch.autocast(self.device.type, getattr(torch, amp or "bfloat16"), enabled=amp is not None)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=amp == "float16")
        self.history: list[EpochMetrics] = []
        self.test_top1: float | None = None

    @property
    def micro_batch(self) -> int:
        """Images of this rank's largest pass, at evaluation too."""
        return max(map(len, self.parts))

    @property
    def share(self) -> int:
        """Images of a step that this rank sees."""
        return sum(map(len, self.parts))

    @property
    def finished(self) -> bool:
        """Whether the recipe's budget is spent or the run has diverged."""
        return len(self.history) >= self.recipe.budget or (bool(self.history) and self.history[-1].diverged)

    def epochs(self) -> Iterator[EpochMetrics]:
        """Train and yield each epoch that is still missing, after its checkpoint is on disk."""
        while not self.finished:
            start = time.monotonic()
            number = len(self.history)
            train_loss = self._train_epoch(number)
            top1 = val_loss = math.nan
            if math.isfinite(train_loss):
                top1, val_loss = self._evaluate(self.feed.val_batches(self.micro_batch))
                top1 = top1 if math.isfinite(val_loss) else math.nan
            lr = self.optimizer.param_groups[0]["lr"]
            epoch = EpochMetrics(
                epoch=number + 1,
                train_loss=train_loss,
                val_loss=val_loss,
                top1=top1,
                lr=lr,
                seconds=time.monotonic() - start,
                finished_at=time.time(),
            )
            self.history.append(epoch)
            self._save()
            yield epoch

    def test(self) -> float:
        """Top-1 in percent on the test images: read once, when training is over, and then kept with the checkpoint."""
        if self.test_top1 is None:
            self.test_top1 = self._evaluate(self.feed.test_batches(self.micro_batch))[0]
            if self.folder is not None and self.finished and self.team.rank == 0:
                note(self.folder, len(self.history), test_top1=self.test_top1)
        return self.test_top1

    def _noise_seed(self, epoch: int) -> int:
        return self.seed * 1_000_003 + epoch

    def _train_epoch(self, number: int) -> float:
        """Mean training loss of epoch `number`, from 0; NaN or infinite as soon as a step's loss is."""
        self._train_alone(self.fresh if number < self.recipe.mixers_first else set())
        batches = self.feed.train_batches(self.parts, self._noise_seed(number + 1))
        if not self.recipe.sched_on_updates:
            self.schedule.step(number)
        self.model.train()
        total = torch.zeros((), device=self.device)
        for step in range(self.feed.steps):
            if self.recipe.sched_on_updates:
                self.schedule.step_update(number * self.feed.steps + step)
            total += self.step(islice(batches, len(self.parts)))
            if step % FINITE_CHECK == 0 and not torch.isfinite(self.team.sum(total.clone())):
                break
        return self.team.sum(total).item() / self.feed.steps / self.team.size

    def _train_alone(self, names: set[str]) -> None:
        """Freeze all parameters but these, or none if there are none."""
        if names != self.alone:
            freeze(self.model, names)
            # Ranks exchange the gradients of what was trained when the model was wrapped.
            self.alone, self.parallel = names, self.team.wrap(self.model)

    def step(self, batches: Iterable[Batch]) -> Tensor:
        """One optimizer step on this rank's micro-batches; its loss, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.device)
        for left, (images, labels) in zip(range(len(self.parts) - 1, -1, -1), batches, strict=True):
            with self.team.gathering(self.parallel, now=left == 0):
                with self.autocast:
                    part = self._loss(self.parallel(images), labels) * (len(images) / self.share)
                self.scaler.scale(part).backward()
            loss += part.detach()
        if self.recipe.clip_grad is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothed = labels.is_floating_point()  # where images are mixed
        return F.cross_entropy(logits, labels, label_smoothing=0.0 if smoothed else self.recipe.label_smoothing)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of normalised images (B, C, H, W)."""
        with self.autocast:
            return self.model(images).float()

    def _evaluate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Top-1 in percent and mean cross entropy, over all ranks."""
        self.model.eval()
        right = loss = number = 0.0
        for images, labels in batches:
            logits = self.predict(images)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            right += (logits.argmax(1) == labels).sum().item()
            number += len(labels)
        sums = self.team.sum(torch.tensor([right, loss, number], dtype=torch.float64, device=self.device))
        right, loss, number = sums.tolist()
        return 100 * right / number, loss / number

    def _save(self) -> None:
        if self.folder is not None and self.team.rank == 0:
            trainer = {
                "identity": self.origin.identity,
                "origin": asdict(self.origin),
                "history": [asdict(epoch) for epoch in self.history],
                "scaler": self.scaler.state_dict(),
                "test_top1": None,
            }
            kept = 1 if self.finished else 2  # the newest, and while it matters one to fall back to
            save_checkpoint(
                self.folder, len(self.history), self.model.state_dict(), self.optimizer.state_dict(), trainer, kept
            )
        self.team.wait()

    def _restore(self, model: dict, optimizer: dict, trainer: dict) -> None:
        history = [EpochMetrics(**epoch) for epoch in trainer["history"]]
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        for parameter, values in self.optimizer.state.items():
            # Files hold no memory layout, and a norm of another layout is rounded otherwise.
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter).copy_(value)
        if trainer["scaler"]:
            self.scaler.load_state_dict(trainer["scaler"])
        self.history, self.test_top1 = history, trainer.get("test_top1")
