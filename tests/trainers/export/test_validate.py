"""Validation of trained models: what is printed, and which data are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from searchspace.candidate import Candidate
from searchspace.static_keys import CSKA
from storage.folder import Folder
from tests.support.checkpoints import write_checkpoint
from tests.support.training import make_trainer
from trainers.__main__ import main
from trainers.data.open_dataset import open_dataset
from trainers.evaluation import Evaluation
from trainers.export.validate import accuracy_table

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")


@pytest.fixture
def folder(shapes, tmp_path) -> str:
    """The images of `shapes` as files. Every seventh test label is wrong, so that no model reaches 100 %."""
    for split, images, labels in (
        ("train", shapes.train_images, shapes.train_labels),
        ("val", shapes.test_images, shapes.test_labels),
    ):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            wrong = split == "val" and number % 7 == 0
            target = tmp_path / "data" / split / ("dark", "bright")[label ^ wrong]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(target / f"{number}.png")
    return str(tmp_path / "data")


def printed(capsys, *arguments: str) -> list[str]:
    capsys.readouterr()
    assert main(["validate", *arguments, "--device", "cpu"]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["validate", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("trainers: error: ")


@pytest.mark.parametrize("streamed", [False, True])
def test_top1_equals_what_training_recorded(folder, quick, tmp_path, capsys, streamed):
    recipe = replace(quick, streamed=streamed)
    data = open_dataset(folder, recipe)
    trainer = make_trainer(CANDIDATE, recipe, data, 0, Folder(tmp_path / "run"))
    list(trainer.epochs())
    top1 = trainer.test()
    head, recorded, _, _, *rows = printed(capsys, str(tmp_path / "run"), "--data", folder, "--workers", "0")
    assert head.startswith(f"{CANDIDATE} at 16 px, 32 test images of data, ")
    assert recorded == f"recorded in training: test top-1 {top1:.2f} %"
    assert [row.split()[:2] for row in rows] == [["bright", "17"], ["dark", "15"], ["all", "32"]]
    assert rows[-1].split() == ["all", "32", f"{top1:.2f}", "100.00"]

    one = printed(capsys, str(tmp_path / "run" / "epoch-0003"), "--data", folder, "--batch-size", "5", "--workers", "0")
    assert one[2:] == ["", "class    images   top-1 %   top-5 %", *rows]
    main(["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert printed(capsys, str(tmp_path / "out"), "--data", folder, "--workers", "0")[1:] == one[1:]


def test_class_names_may_have_unbreakable_spaces_and_joiners(folder, quick, tmp_path, capsys):
    names = {"dark": "not\u00a0bright", "bright": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"}
    for split in ("train", "val"):
        for old, new in names.items():
            (Path(folder) / split / old).rename(Path(folder) / split / new)
    recipe = quick.cut(1)
    trainer = make_trainer(CANDIDATE, recipe, open_dataset(folder, recipe), 0, Folder(tmp_path / "run"))
    next(trainer.epochs())
    rows = printed(capsys, str(tmp_path / "run"), "--data", folder)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out")]) == 0
    assert printed(capsys, str(tmp_path / "out"), "--data", folder)[-3:] == rows[-3:]
    assert rows[-3].startswith("not\u00a0bright ")


def test_another_image_size(folder, tmp_path, capsys):
    where = write_checkpoint(tmp_path / "run", classes=("bright", "dark"))
    rows = printed(capsys, where, "--data", folder, "--img-size", "24")
    assert "at 24 px" in rows[0]
    assert len(rows) == 1 + 1 + 4  # no line on what was recorded


def test_what_does_not_fit_is_validated_in_smaller_passes_with_the_same_result(folder, tmp_path, capsys, monkeypatch):
    where = write_checkpoint(tmp_path / "run", classes=("bright", "dark"))
    expected = printed(capsys, where, "--data", folder)
    sizes = []
    forward = CSKA.forward

    def limited(self, x_BND):
        if len(x_BND) > 10:
            raise torch.OutOfMemoryError(f"{len(x_BND)} images")
        sizes.append(len(x_BND))
        return forward(self, x_BND)

    monkeypatch.setattr(CSKA, "forward", limited)
    assert printed(capsys, where, "--data", folder) == expected
    assert max(sizes) == 8
    monkeypatch.setattr(CSKA, "forward", lambda self, x_BND: limited(self, x_BND.repeat(11, 1, 1)))
    assert refused(capsys, where, "--data", folder) == "one image at a time does not fit into memory: 11 images"


def test_an_attention_map_that_cannot_fit_is_refused_before_it_is_computed(folder, tmp_path, capsys, monkeypatch):
    where = write_checkpoint(tmp_path / "run", classes=("bright", "dark"))
    monkeypatch.setattr("trainers.memory.free_memory", lambda device: 1000)
    line = refused(capsys, where, "--data", folder, "--img-size", "96", "--device", "cpu")
    assert line.startswith("caformer_micro-dwconv-cska-ska-attn at 96 px: the attention map of one image")
    assert line.endswith("GB are free")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            ("bright", "light"),
            "data has other classes than the model: 1 only in the data: dark; 1 only in the model: light",
        ),
        (("dark", "bright"), "data has other classes than the model: another order"),
        (tuple("abcdefg"), "; 7 only in the model: a, b, c, d, e ..."),
    ],
)
def test_other_classes_are_refused(folder, tmp_path, capsys, classes, message):
    where = write_checkpoint(tmp_path / "run", classes=classes)
    assert refused(capsys, where, "--data", folder).endswith(message)


def test_other_channels_are_refused(folder, tmp_path, capsys):
    where = write_checkpoint(tmp_path / "run", mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    assert refused(capsys, where, "--data", folder) == "data has gray images, the model takes RGB"


def test_damaged_weights_are_refused_in_one_line(folder, tmp_path, capsys):
    where = Path(write_checkpoint(tmp_path / "run"))
    weights = where / "epoch-0001" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "is not what was written" in refused(capsys, str(where), "--data", folder)
    weights.unlink()
    assert "No such file" in refused(capsys, str(where), "--data", folder)
    assert refused(capsys, str(tmp_path), "--data", folder).startswith(f"no checkpoint in {tmp_path}")


@pytest.mark.slow  # torch waits 5 s for the worker to end
def test_an_image_that_a_worker_cannot_decode_is_named(folder, tmp_path, capsys):
    where = write_checkpoint(
        tmp_path / "run", classes=("bright", "dark"), mean=(0.5,) * 3, std=(0.5,) * 3, streamed=True
    )
    next(Path(folder, "val", "dark").iterdir()).write_bytes(b"no image")
    line = refused(capsys, where, "--data", folder, "--workers", "1")
    assert ".png cannot be decoded: not an image (tried PNG" in line
    assert line.startswith(folder)


def test_a_user_mixer_needs_its_space_file(folder, tmp_path, capsys):
    where = Path(write_checkpoint(tmp_path / "run"))
    trainer = where / "epoch-0001" / "trainer.json"
    content = json.loads(trainer.read_text().replace("dwconv-cska", "pool-cska"))
    trainer.write_text(json.dumps({**content, "digest": None}))
    line = refused(capsys, str(where), "--data", folder)
    assert line.startswith("unknown token mixer 'pool'")
    assert "--space FILE" in line


def test_a_negative_number_of_workers_is_refused(folder, tmp_path, capsys):
    where = write_checkpoint(
        tmp_path / "run", classes=("bright", "dark"), mean=(0.5,) * 3, std=(0.5,) * 3, streamed=True
    )
    refused(capsys, where, "--data", folder, "--workers", "-1")


def test_the_table_has_a_line_per_class_and_one_for_all():
    evaluation = Evaluation(torch.tensor([1500, 0]), torch.tensor([1000, 0]), torch.tensor([1500, 0]), total_loss=0.0)
    assert accuracy_table(evaluation, ("a long name", "all")) == [
        "class         images   top-1 %   top-5 %",
        "a long name    1,500     66.67    100.00",
        "all                0         -         -",
        "all            1,500     66.67    100.00",
    ]
