from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.class_folders import open_class_folders
from trainers.data.seeds import seed_everything
from trainers.data.transforms import (
    ImageTransformError,
    TransformedImages,
    evaluation_transform,
    training_transform,
)


def test_the_draws_for_an_image_depend_on_seed_and_index_alone(jpeg_folders, tiny_ablation):
    data = open_class_folders(jpeg_folders)
    transform = training_transform(tiny_ablation)

    def image(index, seed):
        return TransformedImages(data.train_images, data.train_labels, transform, seed)[index][0]

    seed_everything(0)
    first = image(3, seed=1)
    seed_everything(99)
    image(5, seed=1)
    assert np.array_equal(image(3, seed=1), first)
    assert not np.array_equal(image(3, seed=2), first)


def test_an_image_comes_with_its_label(jpeg_folders):
    data = open_class_folders(jpeg_folders)
    images = TransformedImages(data.train_images, data.train_labels, evaluation_transform(16, 1.0))
    image, label = images[20]
    assert len(images) == 40
    assert (image.shape, image.dtype, label) == ((3, 16, 16), torch.uint8, 1)


def test_evaluation_crops_the_centre():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:4] = pixels[-4:] = 255
    image = Image.fromarray(pixels)
    assert evaluation_transform(32, 1.0)(image).max() == 255
    assert evaluation_transform(16, 0.5)(image).max() == 0


def test_the_recipe_says_whether_images_are_mirrored(tiny_ablation):
    plain = replace(tiny_ablation, auto_augment=None, hflip=False)
    ramp = Image.fromarray(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2))

    def mirrored(recipe):
        transform = training_transform(recipe)
        images = [np.asarray(transform(ramp)).astype(int) for _ in range(20)]
        return sum(image[0, 0, 0] > image[0, 0, -1] for image in images)

    seed_everything(0)
    assert mirrored(plain) == 0
    assert 0 < mirrored(replace(plain, hflip=True)) < 20


def test_an_image_that_cannot_be_transformed_is_named(jpeg_folders):
    def fail(image):
        raise ValueError("bits must be between 1 and 8")

    data = open_class_folders(jpeg_folders)
    images = TransformedImages(data.train_images, data.train_labels, fail, seed=1)
    with pytest.raises(
        ImageTransformError, match=r"bright/0\.jpeg cannot be transformed: bits must be between 1 and 8"
    ):
        images[0]
