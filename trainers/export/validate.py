"""Evaluates a trained model on the test images of a data set: top-1 and top-5, per class and over all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from trainers.data.dataset import ImageDataset
from trainers.data.in_memory import InMemoryDataset
from trainers.data.open_dataset import load_in_memory, open_streamed
from trainers.data.streamed import StreamedDataset
from trainers.data.transforms import TransformedImages, evaluation_transform
from trainers.device import device_name
from trainers.evaluation import Evaluation, evaluate
from trainers.export.load import TrainedModel, parse_candidate, restore
from trainers.memory import images_that_fit, in_passes_that_fit
from trainers.metadata import CheckpointMetadata

from timm.data.loader import fast_collate

Batches = Iterable[tuple[Tensor, Tensor]]


def validate(
    checkpoint: str,
    data: str,
    *,
    img_size: int | None,
    batch_size: int,
    workers: int | None,
    device: str,
) -> str:
    """The text to print about a checkpoint or an export on the test images of `data`.

    `img_size` None: that of its training. `workers` None: one per CPU. Where memory is too little
    for `batch_size` images at a time, it takes fewer. ValueError if the model does not fit the data, or one image the
    memory.
    """
    trained = restore(checkpoint, img_size)
    metadata = trained.metadata
    size = img_size or metadata.img_size
    torch_device = torch.device(device)
    dataset = open_test_images(data, metadata, size)
    images = images_that_fit(parse_candidate(metadata.candidate), size, images=batch_size, device=torch_device)

    def evaluate_in_passes(images: int) -> Evaluation:
        batches = raw_batches(dataset, metadata, img_size=size, batch_size=images, workers=workers)
        return _evaluate(trained, batches, torch_device)

    evaluation = in_passes_that_fit(evaluate_in_passes, images)
    lines = [
        f"{metadata.candidate} at {size} px, {dataset.num_test} test images of {dataset.name}, "
        f"{device_name(torch_device)}",
        *_recorded_accuracy(trained, dataset, size),
        "",
        *accuracy_table(evaluation, metadata.classes),
    ]
    return "\n".join(lines)


def accuracy_table(evaluation: Evaluation, classes: Sequence[str]) -> list[str]:
    """One line per class and one for all images, with top-1 and top-5 in percent."""
    per_class = torch.stack([evaluation.images, evaluation.in_top1, evaluation.in_top5], dim=1)
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


def open_test_images(data: str, metadata: CheckpointMetadata, img_size: int) -> ImageDataset:
    """The data set in the form that the model was trained with. ValueError if its channels or classes differ."""
    dataset = open_streamed(data) if metadata.streamed else load_in_memory(data, img_size)
    _require_channels(dataset, metadata)
    _require_classes(dataset, metadata)
    return dataset


def raw_batches(
    dataset: ImageDataset,
    metadata: CheckpointMetadata,
    *,
    img_size: int,
    batch_size: int,
    workers: int | None,
) -> Batches:
    """The test images as uint8 tensors (B, C, H, W) with labels (B,)."""
    if isinstance(dataset, InMemoryDataset):
        images = torch.from_numpy(dataset.test_images.copy()).permute(0, 3, 1, 2)
        labels = torch.from_numpy(dataset.test_labels.copy())
        return zip(images.split(batch_size), labels.split(batch_size), strict=True)
    assert isinstance(dataset, StreamedDataset)
    transform = evaluation_transform(img_size, metadata.crop_pct, metadata.interpolation)
    if workers is None:
        workers = os.cpu_count() or 1
    decoded = TransformedImages(dataset.test_images, dataset.test_labels, transform)
    return DataLoader(decoded, batch_size, num_workers=workers, collate_fn=fast_collate)


def _evaluate(trained: TrainedModel, batches: Batches, device: torch.device) -> Evaluation:
    """Evaluate on unnormalised batches; in bfloat16 on a GPU."""
    model = trained.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

    def predict(images: Tensor) -> Tensor:
        with autocast:
            return model(images).float()

    normalised = _normalise(batches, trained.metadata, device)
    return evaluate(predict, normalised, num_classes=len(trained.metadata.classes), device=device)


def _normalise(batches: Batches, metadata: CheckpointMetadata, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Float images on the device, in channels-last layout, and their labels."""
    mean = _per_channel(metadata.mean, device)
    std = _per_channel(metadata.std, device)
    for images, labels in batches:
        floats = images.to(device, non_blocking=True).float()
        normalised = (floats - mean) / std
        yield normalised.contiguous(memory_format=torch.channels_last), labels.to(device)


def _per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """Values for pixels between 0 and 1 as a tensor (1, C, 1, 1) for pixels between 0 and 255."""
    scaled = [255 * value for value in values]
    return torch.tensor(scaled, device=device).view(1, -1, 1, 1)


def _recorded_accuracy(trained: TrainedModel, dataset: ImageDataset, img_size: int) -> list[str]:
    """A line with the test top-1 that training recorded, if it was measured on the same images."""
    metadata = trained.metadata
    test_top1 = trained.scores.test_top1
    same_images = dataset.fingerprint == metadata.data_fingerprint and img_size == metadata.img_size
    if not same_images or test_top1 is None:
        return []
    return [f"recorded in training: test top-1 {test_top1:.2f} %"]


def _require_channels(dataset: ImageDataset, metadata: CheckpointMetadata) -> None:
    if dataset.channels != metadata.channels:
        found = _color(dataset.channels)
        wanted = _color(metadata.channels)
        raise ValueError(f"{dataset.name} has {found}, the model takes {wanted}")


def _color(channels: int) -> str:
    return "gray images" if channels == 1 else "RGB"


def _require_classes(dataset: ImageDataset, metadata: CheckpointMetadata) -> None:
    if dataset.classes == metadata.classes:
        return
    in_data = set(dataset.classes)
    in_model = set(metadata.classes)
    differences = []
    if in_data - in_model:
        differences.append(_first_names(in_data - in_model, "in the data"))
    if in_model - in_data:
        differences.append(_first_names(in_model - in_data, "in the model"))
    difference = "; ".join(differences) or "another order"
    raise ValueError(f"{dataset.name} has other classes than the model: {difference}")


def _first_names(names: set[str], where: str, shown: int = 5) -> str:
    text = ", ".join(islice(sorted(names), shown))
    if len(names) > shown:
        text += " ..."
    return f"{len(names)} only {where}: {text}"


def _percent(correct: int, images: int) -> str:
    if images == 0:
        return "       -"
    return f"{100 * correct / images:8.2f}"
