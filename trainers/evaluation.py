"""The evaluation loop: loss, top-1 and top-5 of a model on labelled batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.rank_context import RankContext

PADDING = -1  # the label of an image that only fills a batch up to its full size; it counts nowhere


@dataclass(frozen=True)
class Evaluation:
    """Counts per class, int64 tensors of shape (classes,) on the CPU, and the sum of the images' losses."""

    images: Tensor
    in_top1: Tensor  # images whose label has the highest logit
    in_top5: Tensor  # images whose label is among the five highest logits
    total_loss: float  # cross-entropy in nats

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return self.total_loss / self.images.sum().item()

    @property
    def top1(self) -> float:
        """Percent of all images."""
        return 100 * self.in_top1.sum().item() / self.images.sum().item()

    @property
    def top5(self) -> float:
        """Percent of all images."""
        return 100 * self.in_top5.sum().item() / self.images.sum().item()


def evaluate(
    predict: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    device: torch.device,
    rank_context: RankContext | None = None,
) -> Evaluation:
    """`evaluate_all` of one model."""
    (evaluation,) = evaluate_all([predict], batches, num_classes=num_classes, device=device, rank_context=rank_context)
    return evaluation


@torch.inference_mode()
def evaluate_all(
    predictors: Sequence[Callable[[Tensor], Tensor]],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    device: torch.device,
    rank_context: RankContext | None = None,
) -> list[Evaluation]:
    """Evaluate models on the same batches of normalised images (B, C, H, W) and labels (B,), summed over all ranks.

    Each predictor maps images to logits (B, classes) in float32. A loader may fill its last batch with any images whose
    label is PADDING, so that all batches have one shape; they are left out. Nothing waits for the device until the end.
    """
    counts = torch.zeros((len(predictors), 3, num_classes), dtype=torch.float64, device=device)
    total_losses = torch.zeros((len(predictors), 1), dtype=torch.float64, device=device)
    for images, labels in batches:
        for index, predict in enumerate(predictors):
            logits = predict(images)
            total_losses[index] += F.cross_entropy(logits, labels, reduction="sum", ignore_index=PADDING)
            counts[index] += _count_batch(logits, labels)
    sums = torch.cat([counts.flatten(1), total_losses], dim=1)
    if rank_context is not None:
        sums = rank_context.sum(sums)
    return [_evaluation(sums_of_model, num_classes) for sums_of_model in sums.cpu()]


def _evaluation(sums: Tensor, num_classes: int) -> Evaluation:
    """From the counts (3, classes), flattened, and the sum of the losses after them."""
    images, in_top1, in_top5 = sums[:-1].view(3, num_classes).long()
    return Evaluation(images, in_top1, in_top5, sums[-1].item())


def evaluation_batch(micro_batch: int, device: torch.device) -> int:
    """Images of one pass at evaluation: on a GPU twice the training's micro-batch.

    A pass without gradients keeps no activations for a backward pass. So it needs less memory than the training step
    that fits, also at twice its images, and fills the GPU better.
    """
    return 2 * micro_batch if device.type == "cuda" else micro_batch


def _count_batch(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts (3, classes) of one batch: all images, those in the top 1, and those in the top 5.

    Indexing with a mask or `bincount` would make the CPU wait for a GPU at every batch; sums of weights do not.
    """
    num_classes = logits.shape[1]
    top5 = logits.topk(min(5, num_classes)).indices
    is_image = labels != PADDING
    in_top1 = logits.argmax(1) == labels
    in_top5 = (top5 == labels[:, None]).any(1)
    weights = torch.stack([is_image, in_top1 & is_image, in_top5 & is_image]).double()
    counts = torch.zeros((3, num_classes), dtype=torch.float64, device=logits.device)
    return counts.index_add_(1, labels.clamp(min=0), weights)
