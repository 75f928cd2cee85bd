import torch

from trainers.data.augment import draw_flips, draw_shifts, flip_images, shift_images


def test_crops_are_all_windows_of_the_padded_image():
    image = torch.arange(1, 17).view(1, 1, 4, 4)
    padded = torch.nn.functional.pad(image, [1] * 4)
    windows = {tuple(padded[0, 0, i : i + 4, j : j + 4].flatten().tolist()) for i in range(3) for j in range(3)}
    crops = shift_images(image.expand(200, 1, 4, 4), draw_shifts(200, 1, torch.Generator().manual_seed(0)), 1)
    assert {tuple(crop.flatten().tolist()) for crop in crops} == windows


def test_a_crop_moves_all_channels_alike():
    image = torch.stack([torch.arange(16).view(4, 4), torch.arange(16).view(4, 4) + 100])
    crops = shift_images(image.expand(50, 2, 4, 4) + 1, draw_shifts(50, 2, torch.Generator().manual_seed(0)), 2)
    inside = crops[:, 0] > 0
    assert torch.equal(crops[:, 1][inside] - crops[:, 0][inside], torch.full((int(inside.sum()),), 100))


def test_about_half_of_the_images_are_mirrored():
    images = torch.tensor([1, 2]).view(1, 1, 1, 2).expand(1000, 1, 1, 2)
    mirrored = flip_images(images, draw_flips(1000, torch.Generator().manual_seed(0)))[:, 0, 0, 0] == 2
    assert 440 < mirrored.sum() < 560
