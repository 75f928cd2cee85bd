"""A model as ONNX: images (batch, C, H, W), normalised, to logits (batch, classes), checked before it is believed."""

from __future__ import annotations

import importlib.util
import logging
import warnings

import torch
from torch import nn

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_DIFFERENCE = 1e-4
BATCHES = (1, 2, 5)  # one of them not what the model was traced with


def require_onnx() -> None:
    """ValueError where the packages of the extra are missing."""
    if not all(map(importlib.util.find_spec, PACKAGES)):
        raise ValueError("ONNX needs: pip install '.[onnx]'")


def to_onnx(model: nn.Module, channels: int, img_size: int) -> tuple[bytes, float]:
    """The file's content, and the largest difference of its logits from the model's on random images.

    ValueError if that is not below LARGEST_DIFFERENCE.
    """
    images = torch.randn(2, channels, img_size, img_size, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
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
        except torch.onnx.OnnxExporterError as error:  # of token mixers of one's own
            raise ValueError(f"this model cannot be written as ONNX: {error.__cause__ or error}") from error
    assert program is not None
    content = program.model_proto.SerializeToString()
    if not (largest := difference(model, content, channels, img_size)) < LARGEST_DIFFERENCE:
        raise ValueError(f"ONNX gives other logits: they differ by {largest:.1e}, expected below {LARGEST_DIFFERENCE}")
    return content, largest


def difference(model: nn.Module, content: bytes, channels: int, img_size: int) -> float:
    """The largest difference between the logits of `model` and of the ONNX file, at several batch sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    draw, differences = torch.Generator().manual_seed(1), []
    for number in BATCHES:
        images = torch.randn(number, channels, img_size, img_size, generator=draw)
        with torch.inference_mode():
            expected = model(images)
        given = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        differences.append((given - expected).abs().max())
    return float(torch.stack(differences).max())
