"""Exports as folders that timm loads: same outputs, an order of writes that survives a crash, refusals."""

import json

import pytest
import torch

from storage.folder import Folder
from tests.support.checkpoints import write_checkpoint
from trainers.export import onnx_file
from trainers.export.load import restore
from trainers.export.timm_folder import export, timm_config

import timm
from timm.models._hub import save_config_for_hf

CANDIDATES = (
    "caformer_micro-dwconv-cska.h4.nosoftmax-ska.small.noq-attn.h3",
    "caformer_micro-cska.k1.nobias-attn.h8.d4-ska.h2.d16.noscale-dwconv",
)


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "run", test_top1=58.5)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def random_images(number=2, channels=1, size=16):
    return torch.randn(number, channels, size, size, generator=torch.Generator().manual_seed(7))


def logits(model, images):
    with torch.inference_mode():
        return model(images)


def load_with_timm(folder, **kwargs):
    return timm.create_model(f"local-dir:{folder}", pretrained=True, **kwargs).eval()


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("mean", [(0.2,), (0.2, 0.3, 0.4)])
def test_timm_gives_the_same_outputs(tmp_path, out, candidate, mean):
    checkpoint = write_checkpoint(tmp_path / "run", candidate=candidate, mean=mean, std=mean)
    export(checkpoint, str(out), None)
    images = random_images(channels=len(mean))
    model = load_with_timm(out)
    assert torch.equal(logits(model, images), logits(restore(checkpoint).model, images))
    assert model.pretrained_cfg["mean"] == list(mean)
    assert model.num_classes == 3


def test_timm_loads_at_another_image_size(checkpoint, out):
    export(checkpoint, str(out), None)
    images = random_images(size=24)
    expected = restore(checkpoint, 24).model
    assert torch.equal(logits(load_with_timm(out, img_size=24), images), logits(expected, images))


def test_timm_replaces_stem_and_classifier_for_other_images(checkpoint, out):
    export(checkpoint, str(out), None)
    model = load_with_timm(out, num_classes=5, in_chans=3)
    assert logits(model, random_images(channels=3)).shape == (2, 5)
    changed = set()
    for name, tensor in restore(checkpoint).model.state_dict().items():
        if not torch.equal(model.state_dict()[name], tensor):
            changed.add(name)
    assert changed == {"stem.conv.weight", "head.fc.fc2.weight", "head.fc.fc2.bias"}


def test_config_agrees_with_timms_own_writer(checkpoint, out, tmp_path):
    """What timm writes about the loaded model is in our config.json, and more of timm's defaults."""
    export(checkpoint, str(out), None)
    ours = json.loads((out / "config.json").read_text())
    save_config_for_hf(load_with_timm(out), str(tmp_path / "timm.json"), model_config={"label_names": ["dark"]})
    theirs = json.loads((tmp_path / "timm.json").read_text())
    for key in ("architecture", "num_classes", "num_features"):
        assert ours[key] == theirs[key]
    assert ours["pretrained_cfg"].items() <= theirs["pretrained_cfg"].items()


def test_the_disk_keys_of_earlier_exports_stay(checkpoint, out):
    export(checkpoint, str(out), None)
    content = json.loads((out / "config.json").read_text())
    assert content["facts"] == {"epochs": 1, "val_top1": 61.25, "test_top1": 58.5}
    assert content["origin"]["candidate"] == "caformer_micro-dwconv-cska-ska-attn"
    assert list(content["digests"]) == ["model.safetensors"]


def test_the_message_is_a_line_of_python_that_loads_it(checkpoint, out):
    (message,) = export(checkpoint, str(out), None)
    assert message == (
        f"exported caformer_micro-dwconv-cska-ska-attn to {out}: timm.create_model('local-dir:{out}', pretrained=True)"
    )


def test_an_earlier_export_is_replaced(checkpoint, out, tmp_path):
    other = write_checkpoint(tmp_path / "other", candidate="caformer_micro-dwconv-dwconv-attn-attn")
    export(other, str(out), None)
    (out / "model.onnx").write_bytes(b"of the earlier one")
    export(checkpoint, str(out), None)
    assert restore(str(out)).metadata == restore(checkpoint).metadata
    assert not (out / "model.onnx").exists()


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "config.json", "model.safetensors"])
def test_other_folders_are_refused(checkpoint, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    with pytest.raises(ValueError, match=f"holds {name}, expected an empty folder or an earlier export$"):
        export(checkpoint, str(tmp_path / "mine"), None)
    assert (tmp_path / "mine" / name).read_text() == "mine"


@pytest.mark.parametrize("failing", ["README.md", "model.safetensors", "config.json"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_export_does_not_load_and_can_be_repeated(checkpoint, out, monkeypatch, failing, earlier):
    original_write = Folder.write

    def write(self, name, content):
        if name == failing:
            raise OSError("disk full")
        original_write(self, name, content)

    if earlier:
        export(checkpoint, str(out), None)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", write)
        with pytest.raises(OSError, match="disk full"):
            export(checkpoint, str(out), None)
    with pytest.raises(FileNotFoundError):
        load_with_timm(out)
    with pytest.raises(FileNotFoundError):
        restore(str(out))
    export(checkpoint, str(out), None)
    load_with_timm(out)


def test_changed_weights_are_refused(checkpoint, out, tmp_path):
    export(checkpoint, str(out), None)
    weights = out / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="is not what was written"):
        export(str(out), str(tmp_path / "again"), None)
    assert not (tmp_path / "again").exists()


def test_onnx_with_other_logits_writes_nothing(checkpoint, out, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_exported", lambda *args: b"")
    monkeypatch.setattr(onnx_file, "largest_difference", lambda *args: 3e-4)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with pytest.raises(ValueError, match="ONNX gives other logits"):
        export(checkpoint, str(out), str(tmp_path / "m.onnx"))
    assert not out.exists()
    assert not (tmp_path / "m.onnx").exists()


def test_onnx_is_written_beside_the_folder(checkpoint, out, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_exported", lambda *args: b"content")
    monkeypatch.setattr(onnx_file, "largest_difference", lambda *args: 2e-6)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    messages = export(checkpoint, str(out), str(tmp_path / "new" / "m.onnx"))
    assert (tmp_path / "new" / "m.onnx").read_bytes() == b"content"
    assert messages[1].endswith("m.onnx: its logits on random images differ by at most 2.0e-06")


def test_without_the_onnx_extra_nothing_is_written(checkpoint, out, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="ONNX needs"):
        export(checkpoint, str(out), str(tmp_path / "m.onnx"))
    assert not out.exists()


def test_gray_images_of_a_new_model_have_one_channel(checkpoint):
    config = timm_config(restore(checkpoint))
    assert config["pretrained_cfg"]["input_size"] == (1, 16, 16)
    assert config["model_args"]["in_chans"] == 1
