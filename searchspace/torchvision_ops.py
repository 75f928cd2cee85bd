"""Makes `import timm` work where torchvision's compiled operators do not fit the installed torch.

The registry's torchvision wheel is linked against CUDA. Beside a CPU-only torch it does not load, and torchvision then
fails on import because it describes two detection operators that nobody has declared. Import this before timm.
"""

import importlib.util
from importlib.machinery import PathFinder

import torch
from torch import library

_OPERATORS = ("nms", "qnms")


def declare_missing_operators() -> library.Library | None:
    """Declare torchvision's operators, without an implementation, if its own library cannot be loaded."""
    torchvision = importlib.util.find_spec("torchvision")
    extension = torchvision and PathFinder.find_spec("_C", torchvision.submodule_search_locations)
    if not extension or not extension.origin:
        return None
    try:
        torch.ops.load_library(extension.origin)
    except OSError:
        declared = library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return declared
    return None


# The declarations live as long as this object.
LIBRARY = declare_missing_operators()
