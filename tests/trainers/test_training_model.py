import pytest
import torch

from searchspace.candidate import Candidate
from trainers.rank_context import RankContext
from trainers.resources import Resources
from trainers.training_model import TrainingModel, amp_dtype
from trainers.trial_task import TrainingSetup

CPU = torch.device("cpu")


@pytest.fixture
def model(shapes, quick):
    setup = TrainingSetup(recipe=quick, data=shapes, resources=Resources(), checkpoints=None)
    candidate = Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn")
    return TrainingModel(candidate, setup, device=CPU, rank_context=RankContext())


def trained_names(model):
    return {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}


def test_the_model_takes_the_images_and_classes_of_the_data(model):
    assert model.predict(torch.zeros(3, 1, 16, 16)).shape == (3, 2)


def test_labels_of_mixed_images_are_not_smoothed_again(model):
    model.module.eval()
    images = torch.randn(2, 1, 16, 16)
    labels = torch.tensor([0, 1])
    smoothing = model.recipe.label_smoothing
    smoothed = torch.nn.functional.one_hot(labels, 2) * (1 - smoothing) + smoothing / 2
    assert model.loss(images, labels).item() == pytest.approx(model.loss(images, smoothed).item())


def test_only_the_named_parameters_are_trained_until_all_are_again(model):
    every = trained_names(model)
    model.train_only({"stem.conv.weight"})
    assert trained_names(model) == {"stem.conv.weight"}
    model.train_only(set())
    assert trained_names(model) == every


@pytest.mark.parametrize(
    ("amp", "device", "dtype"),
    [("bfloat16", "cuda", torch.bfloat16), ("float16", "cuda", torch.float16), ("bfloat16", "cpu", None)],
)
def test_a_cpu_always_computes_in_float32(amp, device, dtype):
    assert amp_dtype(amp, torch.device(device)) is dtype
    assert amp_dtype(None, torch.device(device)) is None
