from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from results.progress import Progress
from results.records import TrialRecord
from results.store import Study
from trainers.data import ImageData
from trainers.recipes import DIGITS, Recipe

# Many threads on a busy machine made the same test take minutes instead of seconds.
torch.set_num_threads(1)

BASE = "dwconv-dwconv-attn-attn"
REPORT = {
    "rows": [{"table": "Table 5", "row": "none", "heads": None, "placement": BASE, "baseline": BASE}],
    "baseline": BASE,
    "rungs": [2],
}

PASSES = {"ranks": 1, "micro_batch": 64, "accumulation": 1, "note": None}  # of a result, as a trial alone reports it

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shapes() -> ImageData:
    """Two classes that a few steps tell apart: dark and bright noise."""
    draw = np.random.default_rng(0)
    labels = np.arange(96) % 2
    images = (draw.integers(0, 100, (96, 16, 16, 1)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    return ImageData("shapes", images[:64], labels[:64], images[64:], labels[64:], ("dark", "bright"))


@pytest.fixture
def quick() -> Recipe:
    """Three epochs of three steps on 16 px images, with every source of noise switched on."""
    return replace(DIGITS, img_size=16, epochs=3, warmup_epochs=1, batch_size=16, hflip=True, drop_path=0.2)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = Study("s", tmp_path)
    with study.owned():
        recipe, data = {"name": "r", "img_size": 32}, {"name": "d", "fingerprint": "0"}
        study.begin(
            {"space": "s", "backbone": "caformer_micro", "recipe": recipe, "budget": 4, "data": data, "report": REPORT}
        )
    return study


@pytest.fixture
def quiet() -> Progress:
    from rich.console import Console

    return Progress([], console=Console(quiet=True))


def trial_record(placement: str = "dwconv-dwconv-attn-attn", seed: int = 0, **changes: object) -> TrialRecord:
    fields = {
        "key": f"{placement}-{seed}",
        "study": "s",
        "space": "placement",
        "candidate": f"caformer_micro-{placement}",
        "backbone": "caformer_micro",
        "placement": placement,
        "published": True,
        "recipe": "r",
        "recipe_fingerprint": "0",
        "data": "d",
        "data_fingerprint": "0",
        "seed": seed,
        "budget": 4,
        "commit": "c",
    }
    return TrialRecord(**{**fields, **changes})
