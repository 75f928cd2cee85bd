import torch

from trainers.data.device_copy import DeviceCopy

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.data.loader import PrefetchLoader

CPU = torch.device("cpu")


def test_batches_are_those_of_timms_prefetch_loader():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8, generator=generator)
    labels = torch.arange(4)
    ((expected, _),) = PrefetchLoader([(images, labels)], IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, device=CPU)
    found, same_labels = DeviceCopy(CPU, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)(images, labels)
    assert torch.equal(found, expected)
    assert torch.equal(same_labels, labels)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_one_channel_is_normalised_by_hand():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    found, _ = DeviceCopy(CPU, [0.5], [0.25])(images, torch.zeros(1))
    assert found.flatten().tolist() == [-2.0, 2.0]
