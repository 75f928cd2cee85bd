"""How good a trained model is: top-1 and top-5 on the test images of a data set, in all and for each class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import searchspace.torchvision_ops  # noqa: F401
from trainers.data.dataset import ImageDataset
from trainers.data.open_dataset import load_in_memory, open_streamed
from trainers.data.transforms import TransformedImages, evaluation_transform
from trainers.device import device_name
from trainers.export.load import restore
from trainers.metadata import CheckpointMetadata, Scores

from timm.data.loader import fast_collate

SHOWN = 5  # names of classes in an error

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Accuracy:
    """Images of each class, and of these how many were named right, and how many among the five most likely."""

    images: Tensor
    top1: Tensor
    top5: Tensor


def validate(where: str, data: str, img_size: int | None, batch_size: int, workers: int | None, device: str) -> str:
    """What is to be printed of the checkpoint or export `where` on the test images of `data`."""
    model, origin, facts = restore(where, img_size)
    size = img_size or origin.img_size
    images, batches = batches_of(data, origin, size, batch_size, workers)
    place = torch.device(device)
    counts = accuracy(model.to(place, memory_format=torch.channels_last), _normalised(batches, origin, place))  # type: ignore[call-overload]
    head = f"{origin.candidate} at {size} px, {images.num_test} test images of {images.name}, {device_name(place)}"
    return "\n".join([head, *_recorded(origin, facts, images, size), "", *table(counts, origin.classes)])


def batches_of(
    data: str, origin: CheckpointMetadata, img_size: int, batch_size: int, workers: int | None
) -> tuple[ImageDataset, Batches]:
    """A data set, and its test images as uint8 (B, C, H, W) with labels. ValueError if the model is not for them."""
    if not origin.streamed:
        images = load_in_memory(data, img_size)
        _refuse_others(images, origin)
        pixels = torch.from_numpy(images.test_images.copy()).permute(0, 3, 1, 2)
        labels = torch.from_numpy(images.test_labels.copy())
        return images, zip(pixels.split(batch_size), labels.split(batch_size), strict=True)
    stream = open_streamed(data)
    _refuse_others(stream, origin)
    transform = evaluation_transform(img_size, origin.crop_pct, origin.interpolation)
    workers = (os.cpu_count() or 1) if workers is None else workers
    decoded = TransformedImages(stream.test_images, stream.test_labels, transform)
    return stream, DataLoader(decoded, batch_size, num_workers=workers, collate_fn=fast_collate)


@torch.inference_mode()
def accuracy(model: nn.Module, batches: Batches) -> Accuracy:
    """Counts over all images (B, C, H, W) and labels (B,); bfloat16 on a GPU."""
    counted = []
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
            logits = model(images).float()
        classes = logits.shape[1]
        first = logits.argmax(1) == labels
        five = (logits.topk(min(5, classes)).indices == labels[:, None]).any(1)
        counted.append(torch.stack([labels[right].bincount(minlength=classes) for right in (labels >= 0, first, five)]))
    return Accuracy(*torch.stack(counted).sum(0).cpu())


def table(counts: Accuracy, classes: Sequence[str]) -> list[str]:
    """A line for each class and one for all, in percent."""
    numbers = torch.stack([counts.images, counts.top1, counts.top5], 1)
    names, rows = [*classes, "all"], [*numbers.tolist(), numbers.sum(0).tolist()]
    width = max(5, *map(len, names))
    lines = [f"{'class':{width}}   images   top-1 %   top-5 %"]
    for name, (number, top1, top5) in zip(names, rows, strict=True):
        lines.append(f"{name:{width}} {number:8,}  {_percent(top1, number)}  {_percent(top5, number)}")
    return lines


def _percent(right: int, images: int) -> str:
    return f"{100 * right / images:8.2f}" if images else f"{'-':>8}"


def _normalised(batches: Batches, origin: CheckpointMetadata, device: torch.device) -> Batches:
    mean, std = (
        torch.tensor([255 * value for value in values], device=device).view(1, -1, 1, 1)
        for values in (origin.mean, origin.std)
    )
    for images, labels in batches:
        floats = (images.to(device, non_blocking=True).float() - mean) / std
        yield floats.contiguous(memory_format=torch.channels_last), labels.to(device)


def _recorded(origin: CheckpointMetadata, facts: Scores, images: ImageDataset, img_size: int) -> list[str]:
    """What the training read on the same images, if they are the same."""
    if images.fingerprint != origin.data_fingerprint or img_size != origin.img_size or facts.test_top1 is None:
        return []
    return [f"recorded in training: test top-1 {facts.test_top1:.2f} %"]


def _refuse_others(images: ImageDataset, origin: CheckpointMetadata) -> None:
    if images.channels != origin.channels:
        given, wanted = ("gray images" if number == 1 else "RGB" for number in (images.channels, origin.channels))
        raise ValueError(f"{images.name} has {given}, the model takes {wanted}")
    if images.classes == origin.classes:
        return
    ours, theirs = set(origin.classes), set(images.classes)
    differences = [
        f"{len(names)} only {where}: {', '.join(sorted(names)[:SHOWN])}{' ...' if len(names) > SHOWN else ''}"
        for names, where in ((theirs - ours, "in the data"), (ours - theirs, "in the model"))
        if names
    ]
    raise ValueError(f"{images.name} has other classes than the model: {'; '.join(differences) or 'another order'}")
