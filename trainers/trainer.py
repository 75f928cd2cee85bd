"""Trains one model epoch by epoch.

Every random draw of an epoch is a function of the seed and the epoch. So checkpoints need no generator state, and a
resumed training repeats an uninterrupted one bit for bit (on a CPU).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.checkpoint import Checkpoint, save_checkpoint, save_test_top1
from trainers.data.batch_loaders import make_batch_loader
from trainers.data.loader import Batch, BatchLoader
from trainers.data.transforms import INTERPOLATION
from trainers.evaluation import Evaluation, evaluate_all, evaluation_batch
from trainers.metadata import CheckpointMetadata
from trainers.optimizer import Optimizer
from trainers.rank_context import RankContext
from trainers.resume import load_agreed_checkpoint, require_same_epoch
from trainers.training_model import TrainingModel
from trainers.trial_task import EpochMetrics, TrainingSetup
from trainers.version import commit


class Trainer:
    """Trains `candidate` with `seed`, and resumes from the newest checkpoint in `folder`, where it saves every epoch.

    `micro_batch`: images of one forward pass, if not as many as the recipe says. ValueError if the folder's checkpoints
    are of another trial or cannot be loaded.
    """

    def __init__(
        self,
        *,
        candidate: Candidate,
        seed: int,
        setup: TrainingSetup,
        folder: Folder | None = None,
        rank_context: RankContext | None = None,
        micro_batch: int | None = None,
    ) -> None:
        recipe = setup.recipe
        self.recipe = recipe
        self.seed = seed
        self.folder = folder
        self.rank_context = rank_context or RankContext()
        self.device = self.rank_context.device(setup.resources.device)
        self.loader = make_batch_loader(
            setup.data, recipe, device=self.device, rank_context=self.rank_context, workers=setup.resources.workers
        )
        largest_pass = micro_batch or recipe.largest_micro_batch(self.device.type)
        self.micro_batch = min(largest_pass, self.loader.largest_group)  # images
        self.passes = self.loader.passes_per_step(self.micro_batch)
        self.metadata = describe_training(candidate, seed, setup, self.loader)

        torch.manual_seed(epoch_seed(seed, 0))
        self.training_model = TrainingModel(candidate, setup, device=self.device, rank_context=self.rank_context)
        self.model = self.training_model.module
        self.optimizer = Optimizer(self.model, recipe, device=self.device, steps_per_epoch=self.loader.steps)
        self.history: list[EpochMetrics] = []
        self.test_top1: float | None = None
        self.ema_test_top1: float | None = None
        if folder:
            self._resume(folder)

    @property
    def evaluation_batch(self) -> int:
        """Images of a forward pass at evaluation."""
        return evaluation_batch(self.micro_batch, self.device)

    @property
    def _pads(self) -> bool:
        """Whether evaluation fills its last batches up: on a GPU every further shape is compiled or timed anew."""
        return self.device.type == "cuda"

    @property
    def finished(self) -> bool:
        """Whether the recipe's epochs are complete or the training has diverged."""
        if not self.history:
            return False
        return len(self.history) >= self.recipe.budget or self.history[-1].diverged

    def epochs(self) -> Iterator[EpochMetrics]:
        """Train the epochs that are missing and yield each after its checkpoint is saved."""
        upcoming = self._train_batches(len(self.history))
        while not self.finished:
            start = time.monotonic()
            epoch = len(self.history)
            train_batches = upcoming
            # Asked for before they are needed: no loader process waits for the end of an epoch or of its validation.
            val_batches = self.loader.val_batches(self.evaluation_batch, padded=self._pads)
            upcoming = self._train_batches(epoch + 1)
            train_loss = self._train_epoch(epoch, train_batches)
            val_loss = math.nan
            top1 = math.nan
            ema_top1 = None
            if math.isfinite(train_loss):
                validation, averaged = self._evaluate(val_batches)
                val_loss = validation.loss
                if math.isfinite(val_loss):
                    top1 = validation.top1
                    ema_top1 = averaged.top1 if averaged else None
            metrics = EpochMetrics(
                epoch=epoch + 1,
                train_loss=train_loss,
                val_loss=val_loss,
                top1=top1,
                lr=self.optimizer.lr,
                seconds=time.monotonic() - start,
                finished_at=time.time(),
                ema_top1=ema_top1,
            )
            self.history.append(metrics)
            self._save()
            yield metrics

    def test(self) -> float:
        """Top-1 in percent on the test images, and in `ema_test_top1` that of averaged weights if there are any.

        The images are read once; the result is saved if training has finished.
        """
        if self.test_top1 is None:
            evaluation, averaged = self._evaluate(self.loader.test_batches(self.evaluation_batch, padded=self._pads))
            self.test_top1 = evaluation.top1
            self.ema_test_top1 = averaged.top1 if averaged else None
            if self.folder and self.finished and self.rank_context.rank == 0:
                save_test_top1(self.folder, len(self.history), self.test_top1, self.ema_test_top1)
        return self.test_top1

    def step(self, batches: Iterable[Batch]) -> Tensor:
        """One optimizer step on this rank's micro-batches. Returns its part of the mean loss, still on the device.

        The mean of what the ranks return is the mean over the batch, also where ranks have different numbers of images.
        """
        self.optimizer.zero_grad()
        total_loss = torch.zeros((), device=self.device)
        images_per_rank = self.loader.batch_size / self.rank_context.size
        for index, (images, labels) in zip(range(self.passes), batches, strict=True):
            with self.training_model.maybe_no_sync(sync=index == self.passes - 1):
                loss = self.training_model.loss(images, labels) * (len(images) / images_per_rank)
                self.optimizer.backward(loss)
            total_loss += loss.detach()
        self.optimizer.step()
        return total_loss

    def close(self) -> None:
        """End the loader processes."""
        self.loader.close()

    def _train_batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of epoch `epoch`, from 0; none beyond the recipe's budget."""
        if epoch >= self.recipe.budget:
            return iter(())
        return self.loader.train_batches(self.micro_batch, epoch_seed(self.seed, epoch + 1))

    def _train_epoch(self, epoch: int, batches: Iterator[Batch], check_every: int = 50) -> float:
        """Mean training loss of epoch `epoch`, from 0. The epoch ends early once a loss is not finite.

        That is looked at every `check_every` steps, because each look waits for the device.
        """
        only_new = epoch < self.recipe.mixers_first
        self.training_model.train_only(self.training_model.new_parameters if only_new else set())
        self.model.train()
        total_loss = torch.zeros((), device=self.device)
        for step in range(self.loader.steps):
            self.optimizer.set_lr(epoch, step)
            total_loss += self.step(islice(batches, self.passes))
            self.training_model.update_average(epoch * self.loader.steps + step + 1)
            if step % check_every == 0 and not torch.isfinite(self.rank_context.sum(total_loss.clone())):
                break
        return self.rank_context.sum(total_loss).item() / self.loader.steps / self.rank_context.size

    def _evaluate(self, batches: Iterable[Batch]) -> tuple[Evaluation, Evaluation | None]:
        """Of the model, and of the averaged weights if the recipe has them, on the same batches."""
        self.model.eval()
        predict = [self.training_model.predict]
        if self.training_model.average is not None:
            predict.append(self.training_model.predict_averaged)
        evaluation, *averaged = evaluate_all(
            predict,
            batches,
            num_classes=len(self.metadata.classes),
            device=self.device,
            rank_context=self.rank_context,
        )
        return evaluation, averaged[0] if averaged else None

    def _save(self) -> None:
        """Save the newest epoch, once all ranks have completed it."""
        require_same_epoch(len(self.history), self.history[-1].epoch, self.device, self.rank_context)
        if self.folder and self.rank_context.rank == 0:
            checkpoint = Checkpoint(
                metadata=self.metadata,
                history=tuple(self.history),
                model=self.model.state_dict(),
                optimizer=self.optimizer.base.state_dict(),
                scaler=self.optimizer.scaler.state_dict(),
                ema=self.training_model.average_state(),
            )
            # While training goes on, the one before is kept in case that the newest is damaged.
            save_checkpoint(self.folder, checkpoint, keep=1 if self.finished else 2)
        self.rank_context.barrier()

    def _resume(self, folder: Folder) -> None:
        checkpoint = load_agreed_checkpoint(folder, self.device, self.rank_context)
        if checkpoint is None:
            return
        require_same_trial(checkpoint.metadata, self.metadata, folder)
        load_state(self.training_model, self.optimizer, checkpoint, folder)
        self.history = list(checkpoint.history)
        self.test_top1 = checkpoint.test_top1
        self.ema_test_top1 = checkpoint.ema_test_top1


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all draws in an epoch, from 1, or of the initial weights (epoch 0), in a training with `seed`."""
    return seed * 1_000_003 + epoch


def require_same_trial(found: CheckpointMetadata, expected: CheckpointMetadata, folder: Folder) -> None:
    """ValueError if the checkpoints in `folder` are of another trial."""
    if found.identity != expected.identity:
        raise ValueError(f"{folder} holds checkpoints of {found.identity}, expected {expected.identity}")


def load_state(model: TrainingModel, optimizer: Optimizer, checkpoint: Checkpoint, folder: Folder) -> None:
    """Restore the weights, their average and the optimizer.

    ValueError in one line if the checkpoint, which is from `folder`, does not fit.
    """
    try:
        model.load_state_dicts(checkpoint.model, checkpoint.ema)
        optimizer.load_state_dicts(checkpoint.optimizer, checkpoint.scaler)
    except (torch.OutOfMemoryError, torch.AcceleratorError):  # the device's fault, not the checkpoint's
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[-1].strip()
        raise ValueError(f"the checkpoint of epoch {checkpoint.epoch} in {folder} does not fit: {reason}") from error


def describe_training(candidate: Candidate, seed: int, setup: TrainingSetup, loader: BatchLoader) -> CheckpointMetadata:
    """What checkpoints say of a training: the trial, the code, and the images that the model takes."""
    recipe = setup.recipe
    return CheckpointMetadata(
        candidate=str(candidate),
        recipe=recipe.name,
        recipe_fingerprint=recipe.fingerprint,
        data=setup.data.name,
        data_fingerprint=setup.data.fingerprint,
        seed=seed,
        commit=commit(),
        torch=torch.__version__,
        img_size=recipe.img_size,
        classes=setup.data.classes,
        mean=loader.mean,
        std=loader.std,
        crop_pct=recipe.crop_pct,
        interpolation=INTERPOLATION,
        streamed=recipe.streamed,
        init=recipe.init,
    )
