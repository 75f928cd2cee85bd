"""Writes a model as ONNX: normalised images (B, C, H, W) in, logits (B, classes) out. Every file is checked first."""

from __future__ import annotations

import importlib.util
import logging
import warnings

import torch
from torch import nn

COMPARED_BATCHES = (1, 2, 5)  # images; the file is exported with a batch of two


def require_onnx() -> None:
    """ValueError unless the packages of the optional dependency `onnx` are installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise ValueError("ONNX needs: pip install '.[onnx]'")


def to_onnx(model: nn.Module, channels: int, img_size: int, tolerance: float = 1e-4) -> tuple[bytes, float]:
    """The content of the ONNX file, and the largest absolute difference between its logits and the model's.

    ValueError if the model cannot be exported, or if that difference is not below `tolerance`.
    """
    content = _exported(model, channels, img_size)
    largest = largest_difference(model, content, channels, img_size)
    if not largest < tolerance:  # also true for NaN
        raise ValueError(f"ONNX gives other logits: they differ by {largest:.1e}, expected below {tolerance}")
    return content, largest


def largest_difference(model: nn.Module, content: bytes, channels: int, img_size: int) -> float:
    """The largest absolute difference between the logits of `model` and of the ONNX file on random images.

    Compared at three batch sizes, two of which differ from the one that the model was exported with.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    differences = []
    for batch_size in COMPARED_BATCHES:
        images = torch.randn(batch_size, channels, img_size, img_size, generator=generator)
        with torch.inference_mode():
            expected = model(images)
        outputs = session.run(None, {"images": images.numpy()})
        logits = torch.from_numpy(outputs[0])
        differences.append((logits - expected).abs().max())
    return float(torch.stack(differences).max())


def _exported(model: nn.Module, channels: int, img_size: int) -> bytes:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, channels, img_size, img_size, generator=generator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own code
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                model,
                (images,),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        except torch.onnx.OnnxExporterError as error:  # possible with user-defined token mixers
            raise ValueError(f"this model cannot be written as ONNX: {error.__cause__ or error}") from error
    assert program is not None
    return program.model_proto.SerializeToString()
