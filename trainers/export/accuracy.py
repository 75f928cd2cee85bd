"""Top-1 and top-5 accuracy per class, and their table as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ClassCounts:
    """Counts per class, each of shape (classes,): all images, and those with the label among the top 1 and top 5."""

    images: Tensor
    top1: Tensor
    top5: Tensor


@torch.inference_mode()
def count_correct(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> ClassCounts:
    """Counts over all batches of normalised images (B, C, H, W) and labels (B,). Computes in bfloat16 on a GPU."""
    counted = []
    for images, labels in batches:
        on_gpu = images.device.type == "cuda"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=on_gpu):
            logits = model(images).float()
        counted.append(_batch_counts(logits, labels))
    return ClassCounts(*torch.stack(counted).sum(0).cpu())


def accuracy_table(counts: ClassCounts, classes: Sequence[str]) -> list[str]:
    """One line per class and one for all images, with top-1 and top-5 in percent."""
    per_class = torch.stack([counts.images, counts.top1, counts.top5], dim=1)
    over_all = per_class.sum(0)
    names = [*classes, "all"]
    rows = [*per_class.tolist(), over_all.tolist()]
    width = max(len(name) for name in ["class", *names])
    lines = [f"{'class':{width}}   images   top-1 %   top-5 %"]
    for name, (images, top1, top5) in zip(names, rows, strict=True):
        top1_percent = _percent(top1, images)
        top5_percent = _percent(top5, images)
        lines.append(f"{name:{width}} {images:8,}  {top1_percent}  {top5_percent}")
    return lines


def _batch_counts(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts (3, classes) of one batch, in the order of ClassCounts' fields."""
    classes = logits.shape[1]
    in_top1 = logits.argmax(1) == labels
    top5 = logits.topk(min(5, classes)).indices
    in_top5 = (top5 == labels[:, None]).any(1)
    counts = [
        labels.bincount(minlength=classes),
        labels[in_top1].bincount(minlength=classes),
        labels[in_top5].bincount(minlength=classes),
    ]
    return torch.stack(counts)


def _percent(correct: int, images: int) -> str:
    if images == 0:
        return "       -"
    return f"{100 * correct / images:8.2f}"
