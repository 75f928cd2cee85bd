"""Loading trained models: from checkpoints, from exports, and refusals of damaged ones in one line."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from storage.folder import Folder
from tests.support.checkpoints import write_checkpoint
from trainers.checkpoint import load_checkpoint, save_checkpoint
from trainers.export.load import parse_candidate, restore
from trainers.export.timm_folder import export
from trainers.metadata import Scores


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "run", test_top1=58.5)


@pytest.fixture
def exported(checkpoint, tmp_path):
    export(checkpoint, str(tmp_path / "out"), None)
    return tmp_path / "out"


def refusal(where):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        restore(str(where))
    assert "\n" not in str(error.value)
    return str(error.value)


def write_config(exported, key, field, value):
    file = exported / "config.json"
    content = json.loads(file.read_text())
    content[key][field] = value
    file.write_text(json.dumps(content))


def test_scores_and_metadata_are_read_from_a_checkpoint(checkpoint):
    trained = restore(checkpoint)
    assert trained.scores == Scores(epochs=1, val_top1=61.25, test_top1=58.5)
    assert (trained.metadata.candidate, trained.metadata.classes) == (
        "caformer_micro-dwconv-cska-ska-attn",
        ("dark", "bright", "other"),
    )
    assert not trained.model.training


def test_a_folder_gives_its_newest_epoch(checkpoint, tmp_path):
    folder = Folder(tmp_path / "run")
    first = load_checkpoint(folder, torch.device("cpu"))
    save_checkpoint(folder, replace(first, history=first.history * 2), keep=2)
    assert restore(checkpoint).scores.epochs == 2
    assert restore(f"{checkpoint}/epoch-0001").scores.epochs == 1


def test_another_image_size_resizes_the_static_keys(checkpoint):
    assert restore(checkpoint).model.stages[2].blocks[0].token_mixer.grid == (2, 2)
    assert restore(checkpoint, 32).model.stages[2].blocks[0].token_mixer.grid == (4, 4)


def test_an_export_is_read_like_its_checkpoint(checkpoint, exported):
    expected = restore(checkpoint)
    found = restore(str(exported))
    assert (found.metadata, found.scores) == (expected.metadata, expected.scores)
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor)


def test_a_diverged_epoch_has_no_top1(tmp_path):
    assert restore(write_checkpoint(tmp_path / "run", top1=math.nan)).scores == Scores(1, None, None)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    line = refusal(write_checkpoint(tmp_path / "run", noise=math.inf))
    assert line.endswith(" is not finite: this training diverged")


@pytest.mark.parametrize("without", ["init", "test_top1"])
def test_older_checkpoints_lack_some_fields(checkpoint, without):
    file = Path(checkpoint) / "epoch-0001" / "trainer.json"
    content = json.loads(file.read_text())
    content.pop("digest")
    content.pop(without, None)
    content["origin"].pop(without, None)
    file.write_text(json.dumps(content))
    trained = restore(checkpoint)
    assert (trained.metadata.init is None, trained.scores.test_top1) == (
        True,
        None if without == "test_top1" else 58.5,
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("candidate", 7, "origin.candidate is 7: Input should be a valid string"),
        ("mean", [0.1, 0.2], "mean (0.1, 0.2) and std (0.5,), expected 1 or 3 numbers in each"),
        ("mean", [math.nan], "origin.mean.0 is nan: Input should be a finite number"),
        ("std", [0.0], "origin.std.0 is 0.0: Input should be greater than 0"),
        ("std", 1.0, "origin.std is 1.0: Input should be a valid array"),
        ("img_size", "16", "origin.img_size is '16': Input should be a valid integer"),
        ("img_size", -1, "origin.img_size is -1: Input should be greater than 0"),
        ("seed", True, "origin.seed is True: Input should be a valid integer"),
        (
            "classes",
            ["dark", "bri\nght"],
            "origin.classes.1 is 'bri\\nght': Value error, expected text without control characters",
        ),
        ("classes", [], "origin.classes is []: Tuple should have at least 1 item"),
        ("crop_pct", None, "origin.crop_pct is None: Input should be a valid number"),
        ("crop_pct", 1.5, "origin.crop_pct is 1.5: Input should be less than or equal to 1"),
        ("interpolation", "cubic", "origin.interpolation is 'cubic': String should match pattern '^(bicubic|"),
        ("streamed", 0, "origin.streamed is 0: Input should be a valid boolean"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_expected(exported, field, value, reason):
    write_config(exported, "origin", field, value)
    line = refusal(exported)
    assert line.startswith(f"{exported / 'config.json'} is not what training wrote: ")
    assert reason in line


def test_a_missing_field_is_named(exported):
    file = exported / "config.json"
    content = json.loads(file.read_text())
    del content["origin"]["seed"]
    file.write_text(json.dumps(content))
    assert refusal(exported).endswith("config.json is not what training wrote: origin.seed is missing")


def test_an_edited_checkpoint_is_refused(checkpoint):
    file = Path(checkpoint) / "epoch-0001" / "trainer.json"
    file.write_text(file.read_text().replace("58.5", "98.5"))
    assert refusal(checkpoint).endswith("trainer.json is not what training wrote: its digest is another")


def test_scores_of_an_export_are_checked(exported):
    write_config(exported, "facts", "epochs", -1)
    assert "facts.epochs is -1: Input should be greater than or equal to 0" in refusal(exported)


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"origin": 1}', "[" * 100_000])
def test_a_file_of_another_shape_is_refused_in_one_line(checkpoint, content):
    file = Path(checkpoint) / "epoch-0001" / "trainer.json"
    file.write_text(content)
    assert "trainer.json is not what training wrote: " in refusal(checkpoint)


def test_weights_without_a_digest_are_refused(exported):
    write_config(exported, "digests", "model.safetensors", "0" * 32)
    assert "is not what was written" in refusal(exported)
    file = exported / "config.json"
    content = json.loads(file.read_text())
    content["digests"] = {}
    file.write_text(json.dumps(content))
    assert refusal(exported).endswith("'model.safetensors' is missing")


def test_weights_of_other_classes_do_not_fit(exported):
    write_config(exported, "origin", "classes", ["dark", "bright"])
    assert f"{exported / 'model.safetensors'} does not fit caformer_micro-" in refusal(exported)


def test_an_unknown_mixer_needs_the_users_space_file():
    with pytest.raises(ValueError, match=r"^unknown token mixer 'pool'.* \(--space FILE registers token mixers"):
        parse_candidate("caformer_micro-pool-dwconv-attn-attn")


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        restore(str(tmp_path))
