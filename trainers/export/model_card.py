"""The model card (README.md) of an export: how the model was trained and how to load it. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.metadata import CheckpointMetadata, Scores

MARK = "<!-- written by python -m trainers export -->"  # tells an earlier export from other folders

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

A MetaFormer with the token mixers `{placement}` in its four stages. It was trained in a placement search for
[Static Key Attention in Vision](https://arxiv.org/abs/2412.07049).

{table}

Both accuracies were recorded during training. The validation split is held out from the training images, and every
decision of the search was taken on it. The test images were evaluated once, after the last epoch.

## Loading it

Install the repository `static-key-placement` with `pip install .` in its folder. Its package `searchspace` registers
the architecture with timm:

```python
import searchspace.backbones  # before timm
import timm

model = timm.create_model("local-dir:{folder}", pretrained=True).eval()
```

`img_size=384` resizes the static keys to another image size. `num_classes=5` replaces the classifier by a new one.
{user_mixers}"""


def model_card(
    metadata: CheckpointMetadata, scores: Scores, *, folder: str, num_params: int, user_mixers: Sequence[str]
) -> str:
    """The card as Markdown. `folder` is the name of the export's folder."""
    return _CARD.format(
        mark=MARK,
        candidate=metadata.candidate,
        placement=metadata.candidate.partition("-")[2],
        table=_table(metadata, scores, num_params),
        folder=folder,
        user_mixers=_user_mixers_note(user_mixers),
    )


def _table(metadata: CheckpointMetadata, scores: Scores, num_params: int) -> str:
    color = "gray" if metadata.channels == 1 else "RGB"
    rows = {
        "candidate": f"`{metadata.candidate}`",
        "parameters": f"{num_params:,}",
        "recipe": f"{metadata.recipe} ({metadata.recipe_fingerprint})",
        "data": f"{metadata.data} ({metadata.data_fingerprint}), {len(metadata.classes)} classes",
        "seed": str(metadata.seed),
        "initial weights": metadata.init or "random",
        "epochs": str(scores.epochs),
        "validation top-1": _percent(scores.val_top1),
        "test top-1": _percent(scores.test_top1),
        "image size": f"{metadata.img_size} px, {color}",
        "mean of pixels / 255": _numbers(metadata.mean),
        "standard deviation of pixels / 255": _numbers(metadata.std),
        "evaluation transform": f"{metadata.interpolation}, crop_pct {metadata.crop_pct:g}",
        "commit": metadata.commit or "not recorded",
        "torch": metadata.torch,
    }
    lines = ["| | |", "|---|---|"]
    for name, value in rows.items():
        lines.append(f"| {name} | {value} |")
    return "\n".join(lines)


def _user_mixers_note(user_mixers: Sequence[str]) -> str:
    if not user_mixers:
        return ""
    names = ", ".join(f"`{name}`" for name in user_mixers)
    return (
        f"\nThe token mixers {names} are not part of that package. "
        "Register them first, with the space file of the training.\n"
    )


def _percent(top1: float | None) -> str:
    return "not recorded" if top1 is None else f"{top1:.2f} %"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
