"""The evaluation loop: loss, top-1 and top-5 of a model on labelled batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.rank_context import RankContext


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


@torch.inference_mode()
def evaluate(
    predict: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    device: torch.device,
    rank_context: RankContext | None = None,
) -> Evaluation:
    """Evaluate on batches of normalised images (B, C, H, W) and labels (B,), summed over all ranks.

    `predict` maps images to logits (B, classes) in float32.
    """
    counts = torch.zeros((3, num_classes), dtype=torch.float64, device=device)
    total_loss = 0.0
    for images, labels in batches:
        logits = predict(images)
        total_loss += F.cross_entropy(logits, labels, reduction="sum").item()
        counts += _count_batch(logits, labels)
    sums = torch.cat([counts.flatten(), torch.tensor([total_loss], dtype=torch.float64, device=device)])
    if rank_context is not None:
        sums = rank_context.sum(sums)
    sums = sums.cpu()
    images_seen, in_top1, in_top5 = sums[:-1].view(3, num_classes).long()
    return Evaluation(images_seen, in_top1, in_top5, sums[-1].item())


def _count_batch(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts (3, classes) of one batch: all images, those in the top 1, and those in the top 5."""
    num_classes = logits.shape[1]
    top5 = logits.topk(min(5, num_classes)).indices
    in_top1 = logits.argmax(1) == labels
    in_top5 = (top5 == labels[:, None]).any(1)
    counts = [
        labels.bincount(minlength=num_classes),
        labels[in_top1].bincount(minlength=num_classes),
        labels[in_top5].bincount(minlength=num_classes),
    ]
    return torch.stack(counts)
