"""Makes `import timm` work where torchvision's compiled operators do not fit the installed torch.

The registry's wheel of torchvision is linked against CUDA. Beside a torch for CPUs its library does not load, and then
`import torchvision` fails, because it describes two operators of detection that nothing has declared. Importing this
module declares them. That is its purpose, and it has no effect where the library loads. Import it before timm.
"""

import importlib.util
from importlib.machinery import PathFinder

import torch
from torch import library


def declare_missing_operators() -> library.Library | None:
    """Declare torchvision's operators without an implementation, if its own library cannot be loaded.

    Returns the declarations, which last as long as this object, or None if none are needed.
    """
    torchvision = importlib.util.find_spec("torchvision")
    if torchvision is None:
        return None
    extension = PathFinder.find_spec("_C", torchvision.submodule_search_locations)
    if extension is None or not extension.origin:
        return None
    try:
        torch.ops.load_library(extension.origin)
    except OSError:
        declared = library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return declared
    return None


LIBRARY = declare_missing_operators()
