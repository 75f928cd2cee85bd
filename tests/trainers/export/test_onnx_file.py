"""ONNX files give the model's logits, or they are refused."""

import pytest
import torch

from tests.support.checkpoints import write_checkpoint
from trainers.export import onnx_file
from trainers.export.load import restore


@pytest.mark.slow
@pytest.mark.parametrize(
    "candidate",
    [
        "caformer_micro-cska.nosoftmax.unit-ska.nosoftmax-cska-attn",
        "caformer_micro-dwconv-ska-cska.nosoftmax.k1-ska",
    ],
)
def test_logits_agree_at_other_batch_sizes(tmp_path, candidate):
    pytest.importorskip("onnxruntime")
    model = restore(write_checkpoint(tmp_path / "run", candidate=candidate)).model
    content, largest = onnx_file.to_onnx(model, 1, 16)
    assert 0 < largest < 1e-4
    with torch.no_grad():
        model.head.fc.fc2.bias += 1
    assert onnx_file.largest_difference(model, content, 1, 16) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("difference", [3e-4, float("nan")])
def test_other_logits_are_refused(monkeypatch, difference):
    monkeypatch.setattr(onnx_file, "_exported", lambda *args: b"")
    monkeypatch.setattr(onnx_file, "largest_difference", lambda *args: difference)
    with pytest.raises(ValueError, match=f"they differ by {difference:.1e}, expected below 0.0001"):
        onnx_file.to_onnx(torch.nn.Identity(), 1, 16)


def test_missing_packages_are_named_by_their_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^ONNX needs: pip install '\.\[onnx\]'$"):
        onnx_file.require_onnx()
