"""The table of top-1 and top-5 accuracy per class, as text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainers.evaluation import Evaluation


def accuracy_table(counts: Evaluation, classes: Sequence[str]) -> list[str]:
    """One line per class and one for all images, with top-1 and top-5 in percent."""
    per_class = torch.stack([counts.images, counts.in_top1, counts.in_top5], dim=1)
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


def _percent(correct: int, images: int) -> str:
    if images == 0:
        return "       -"
    return f"{100 * correct / images:8.2f}"
