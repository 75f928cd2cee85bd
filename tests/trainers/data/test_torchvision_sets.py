import struct

import pytest

from trainers.data.torchvision_sets import load_torchvision


def test_a_downloaded_data_set_is_read(tmp_path):
    """FashionMNIST's raw files, made by hand, so that nothing is downloaded."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, number in (("train", 6), ("t10k", 3)):
        pixels = bytes(range(28)) * 28 * number
        labels = bytes(index % 10 for index in range(number))
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, number, 28, 28) + pixels)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, number) + labels)
    data = load_torchvision(f"torch/fashion_mnist:{tmp_path}", 28)
    assert data.train_images.shape == (6, 28, 28, 1)
    assert data.test_labels.tolist() == [0, 1, 2]
    assert data.classes[0] == "T-shirt/top"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torch/cifar10", "names no folder to download to, expected torch/cifar10:<root>"),
        ("torch/nothing:/tmp/x", "Unknown torchvision dataset"),
    ],
)
def test_an_invalid_source_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load_torchvision(source, 6)
