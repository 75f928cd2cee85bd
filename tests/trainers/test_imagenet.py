"""The paper's own recipe at full size on a handful of pictures: trained, gone on with, validated, exported, loaded."""

import re

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.training import make_trainer
from trainers.__main__ import main
from trainers.data.open_dataset import open_streamed
from trainers.recipes import ABLATION
from trainers.resources import whole_machine
from trainers.run_trial import run_trial
from trainers.trial_task import TrainingSetup, TrialTask

import timm

CANDIDATE = "caformer_s18-dwconv-ska-attn-attn"
CLASSES = range(8)


@pytest.fixture
def pictures(tmp_path):
    """Eight class folders of JPEGs of 160 pixels, two each to train and validate on and one to test on."""
    digits = load_digits()
    for label in CLASSES:
        for number, index in enumerate((digits.target == label).nonzero()[0][:3]):
            file = tmp_path / "images" / ("train" if number < 2 else "val") / f"n{label:08}" / f"{number}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = (digits.images[index] * 15).astype("uint8")
            Image.fromarray(pixels).resize((160, 160), Image.Resampling.BICUBIC).save(file)
    return tmp_path / "images"


@pytest.mark.slow
def test_the_recipe_of_the_ablations_from_training_to_timm(pictures, tmp_path, capsys):
    checkpoints, recipe, data = tmp_path / "checkpoints", ABLATION.cut(2), open_streamed(str(pictures))
    assert (data.num_train, data.num_test, len(data.classes)) == (16, 8, 8)
    setup = TrainingSetup(recipe=recipe, data=data, resources=whole_machine(1), checkpoints=Folder(checkpoints))
    task = TrialTask(key="", candidate=Candidate.parse(CANDIDATE), seed=0, until=2)
    first = next(run_trial(task, setup))
    assert first.last.lr == pytest.approx(1e-6)
    assert (first.micro_batch, first.accumulation) == (8, 1)  # half are held out: one of each class

    train = [CANDIDATE, "--recipe", "ablation", "--data", str(pictures), "--epochs", "2"]
    assert main([*train, "--checkpoints", str(checkpoints)]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^epoch +(\d)/2", shown, re.MULTILINE) == ["1", "2"]
    assert f"epoch   1/2  train loss {first.last.train_loss:.4f}" in shown
    assert f"{first.last.seconds:.1f} s\nepoch   2/2" in shown  # shown again, not trained again

    assert main(["validate", str(checkpoints), "--data", str(pictures)]) == 0
    test_top1 = re.search(r"test top-1 ([\d.]+) %", shown)[1]
    assert test_top1 in capsys.readouterr().out

    assert main(["export", str(checkpoints), str(tmp_path / "export")]) == 0
    exported = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True).eval()
    trained = make_trainer(Candidate.parse(CANDIDATE), recipe, data, 0, Folder(checkpoints)).model.eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(exported(images), trained(images.contiguous(memory_format=torch.channels_last)))
