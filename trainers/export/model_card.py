"""The model card of an export: what is known of a trained model, and how to load it. No torch here."""

from __future__ import annotations

from collections.abc import Iterable

from trainers.metadata import CheckpointMetadata, Scores

MARK = "<!-- written by python -m trainers export -->"  # how an earlier export is told from a folder of one's own

_CARD = """\
---
library_name: timm
pipeline_tag: image-classification
tags:
- image-classification
- timm
---
{mark}

# {candidate}

A MetaFormer with the token mixers `{placement}` in its stages, from a placement search for
[Static Key Attention in Vision](https://arxiv.org/abs/2412.07049).

{table}

Top-1 as recorded in training: of the validation split that every decision was taken on, and of the test images.

## Loading it

With the repository `static-key-placement` installed (`pip install .` in it), whose package `searchspace` makes the
architecture known to timm:

```python
import searchspace.backbones  # before timm
import timm

model = timm.create_model("local-dir:{folder}", pretrained=True).eval()
```

`img_size=384` resizes the static keys to another image size, `num_classes=5` gives a new classifier.
{own}"""

_OWN = """
Its token mixers {names} are not part of that package: register them first, by the file that it was trained with.
"""


def card(origin: CheckpointMetadata, facts: Scores, folder: str, num_params: int, own_mixers: Iterable[str]) -> str:
    """Markdown; `folder` is what the export is called."""
    rows = {
        "candidate": f"`{origin.candidate}`",
        "parameters": f"{num_params:,}",
        "recipe": f"{origin.recipe} ({origin.recipe_fingerprint})",
        "data": f"{origin.data} ({origin.data_fingerprint}), {len(origin.classes)} classes",
        "seed": str(origin.seed),
        "began with": origin.init or "random weights",
        "epochs": str(facts.epochs),
        "validation top-1": _percent(facts.val_top1),
        "test top-1": _percent(facts.test_top1),
        "image size": f"{origin.img_size} px, {'gray' if origin.channels == 1 else 'RGB'}",
        "mean of pixels / 255": ", ".join(f"{value:.4f}" for value in origin.mean),
        "their deviation": ", ".join(f"{value:.4f}" for value in origin.std),
        "at evaluation": f"{origin.interpolation}, crop_pct {origin.crop_pct:g}",
        "commit": origin.commit or "not recorded",
        "torch": origin.torch,
    }
    names = ", ".join(f"`{name}`" for name in own_mixers)
    return _CARD.format(
        mark=MARK,
        candidate=origin.candidate,
        placement=origin.candidate.partition("-")[2],
        table="\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]),
        folder=folder,
        own=_OWN.format(names=names) if names else "",
    )


def _percent(top1: float | None) -> str:
    return "not recorded" if top1 is None else f"{top1:.2f} %"
