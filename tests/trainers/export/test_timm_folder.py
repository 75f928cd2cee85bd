import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from storage.folder import Folder
from tests.support.checkpoints import write_checkpoint
from tests.support.paths import ROOT
from trainers.__main__ import main
from trainers.export import onnx_file
from trainers.export.load import restore
from trainers.metadata import Scores

import timm

CANDIDATES = (
    "caformer_micro-dwconv-cska.h4.nosoftmax-ska.small.noq-attn.h3",
    "caformer_micro-cska.k1.nobias-attn.h8.d4-ska.h2.d16.noscale-dwconv",
)


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "run", test_top1=58.5)


def images(number=2, channels=1, size=16):
    return torch.randn(number, channels, size, size, generator=torch.Generator().manual_seed(7))


def logits(model, x):
    with torch.inference_mode():
        return model(x)


def loaded(folder, **kwargs):
    return timm.create_model(f"local-dir:{folder}", pretrained=True, **kwargs).eval()


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("mean", [(0.2,), (0.2, 0.3, 0.4)])
def test_timm_gives_the_same_outputs(tmp_path, candidate, mean):
    where = write_checkpoint(tmp_path / "run", candidate=candidate, mean=mean, std=mean)
    assert main(["export", where, str(tmp_path / "out")]) == 0
    expected, origin, facts = restore(where)
    x = images(channels=len(mean))
    model = loaded(tmp_path / "out")
    assert torch.equal(logits(model, x), logits(expected, x))
    assert (model.pretrained_cfg["mean"], model.num_classes) == (list(mean), 3)
    again, same_origin, same_facts = restore(str(tmp_path / "out"))
    assert (same_origin, same_facts) == (origin, facts)
    assert torch.equal(logits(again, x), logits(expected, x))


def test_timm_loads_at_another_image_size_and_for_other_classes(checkpoint, tmp_path):
    main(["export", checkpoint, str(tmp_path / "out")])
    expected, _, _ = restore(checkpoint, 24)
    x = images(size=24)
    assert torch.equal(logits(loaded(tmp_path / "out", img_size=24), x), logits(expected, x))
    five = loaded(tmp_path / "out", num_classes=5, in_chans=3)
    assert logits(five, images(channels=3)).shape == (2, 5)
    frame = restore(checkpoint)[0].state_dict()
    same = [name for name, tensor in five.state_dict().items() if torch.equal(tensor, frame.get(name, torch.zeros(0)))]
    assert set(frame) - set(same) == {"stem.conv.weight", "head.fc.fc2.weight", "head.fc.fc2.bias"}


def test_the_model_card_says_what_was_recorded(checkpoint, tmp_path):
    main(["export", checkpoint, str(tmp_path / "out")])
    card = (tmp_path / "out" / "README.md").read_text()
    for line in (
        "| candidate | `caformer_micro-dwconv-cska-ska-attn` |",
        "| recipe | quick (01234567) |",
        "| seed | 3 |",
        "| epochs | 1 |",
        "| validation top-1 | 61.25 % |",
        "| test top-1 | 58.50 % |",
        "| image size | 16 px, gray |",
        "| commit | c0ffee |",
    ):
        assert line in card
    assert "arxiv.org/abs/2412.07049" in card


def test_what_was_not_recorded_is_not_invented(tmp_path):
    main(["export", write_checkpoint(tmp_path / "run", top1=math.nan), str(tmp_path / "out")])
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| validation top-1 | not recorded |\n| test top-1 | not recorded |" in card
    assert restore(str(tmp_path / "out"))[2] == Scores(1, None, None)


@pytest.mark.parametrize(
    ("init", "said"), [(None, "random weights"), ("caformer_s18-01234567", "caformer_s18-01234567")]
)
def test_the_model_card_says_what_training_began_with(tmp_path, init, said):
    main(["export", write_checkpoint(tmp_path / "run", init=init), str(tmp_path / "out")])
    assert f"| began with | {said} |" in (tmp_path / "out" / "README.md").read_text()


def test_the_cards_lines_load_the_model_in_a_process_of_its_own(checkpoint, tmp_path):
    main(["export", checkpoint, str(tmp_path / "out")])
    lines = (tmp_path / "out" / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    environment = {"PYTHONPATH": str(ROOT)}
    code = lines + "print(model.stages[1].blocks[0].token_mixer.grid)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "(4, 4)"


def test_an_earlier_export_is_replaced(checkpoint, tmp_path):
    other = write_checkpoint(tmp_path / "other", candidate="caformer_micro-dwconv-dwconv-attn-attn")
    main(["export", other, str(tmp_path / "out")])
    (tmp_path / "out" / "model.onnx").write_bytes(b"of the earlier one")
    assert main(["export", checkpoint, str(tmp_path / "out")]) == 0
    assert restore(str(tmp_path / "out"))[1] == restore(checkpoint)[1]
    assert not (tmp_path / "out" / "model.onnx").exists()


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "config.json", "model.safetensors"])
def test_a_folder_of_ones_own_is_refused(checkpoint, tmp_path, name, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    assert main(["export", checkpoint, str(tmp_path / "mine")]) == 2
    assert f"holds {name}, expected an empty folder or an earlier export\n" in capsys.readouterr().err
    assert (tmp_path / "mine" / name).read_text() == "mine"


@pytest.mark.parametrize("failing", ["README.md", "model.safetensors", "config.json"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_broken_export_does_not_load_and_can_be_made_again(checkpoint, tmp_path, monkeypatch, failing, earlier):
    def write(self, name, content):
        if name == failing:
            raise OSError("disk full")
        kept(self, name, content)

    kept, out = Folder.write, tmp_path / "out"
    if earlier:
        main(["export", checkpoint, str(out)])
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", write)
        assert main(["export", checkpoint, str(out)]) == 2
    with pytest.raises(FileNotFoundError):
        loaded(out)
    with pytest.raises(FileNotFoundError):
        restore(str(out))
    assert main(["export", checkpoint, str(out)]) == 0
    loaded(out)


def test_an_export_whose_weights_were_changed_is_refused(checkpoint, tmp_path, capsys):
    main(["export", checkpoint, str(tmp_path / "out")])
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "again")]) == 2
    assert "is not what was written" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "candidate",
    ["caformer_micro-cska.nosoftmax.unit-ska.nosoftmax-cska-attn", "caformer_micro-dwconv-ska-cska.nosoftmax.k1-ska"],
)
def test_onnx_of_every_mixer_at_any_batch_size(tmp_path, candidate):
    pytest.importorskip("onnxruntime")
    model, _, _ = restore(write_checkpoint(tmp_path / "run", candidate=candidate))
    content, largest = onnx_file.to_onnx(model, 1, 16)
    assert 0 < largest < onnx_file.LARGEST_DIFFERENCE
    with torch.no_grad():
        model.head.fc.fc2.bias += 1
    assert onnx_file.difference(model, content, 1, 16) == pytest.approx(1, abs=1e-3)


def test_onnx_that_differs_is_refused_and_nothing_is_written(checkpoint, tmp_path, monkeypatch, capsys):
    class Program:
        class model_proto:  # noqa: N801
            SerializeToString = staticmethod(bytes)

    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: Program)
    monkeypatch.setattr(onnx_file, "difference", lambda *args: 3e-4)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    assert main(["export", checkpoint, str(tmp_path / "out"), "--onnx", str(tmp_path / "m.onnx")]) == 2
    assert "they differ by 3.0e-04, expected below 0.0001" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "m.onnx").exists()


def test_without_the_extra_onnx_says_what_it_needs(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", checkpoint, str(tmp_path / "out"), "--onnx", str(tmp_path / "m.onnx")]) == 2
    assert capsys.readouterr().err == "trainers: error: ONNX needs: pip install '.[onnx]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("candidate", 7),
        ("candidate", "caformer_micro-pool-dwconv-attn-attn"),
        ("mean", [0.1, 0.2]),
        ("std", [0.0]),
        ("std", 1.0),
        ("img_size", "16"),
        ("img_size", -1),
        ("classes", ["dark", "bri\nght", "other"]),
        ("classes", ["dark", "bright"]),
        ("crop_pct", None),
        ("interpolation", "cubic"),
        ("streamed", 0),
    ],
)
def test_a_config_of_another_shape_is_refused_in_one_line(checkpoint, tmp_path, capsys, field, value):
    main(["export", checkpoint, str(tmp_path / "out")])
    file = tmp_path / "out" / "config.json"
    content = json.loads(file.read_text())
    content["origin"][field] = value
    file.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "again")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("trainers: error: ")


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"origin": 1}', "[" * 100_000])
def test_a_config_that_is_none_is_refused_in_one_line(checkpoint, tmp_path, capsys, content):
    file = Path(checkpoint) / "epoch-0001" / "trainer.json"
    file.write_text(content)
    assert main(["export", checkpoint, str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "trainer.json is not what training wrote: " in line
