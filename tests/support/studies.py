"""Studies and records of trials that were never run."""

from pathlib import Path

from results.records import TrialRecord
from results.store import Study
from storage.folder import Folder

BASE = "dwconv-dwconv-attn-attn"
REPORT = {
    "rows": [{"table": "Table 5", "row": "none", "heads": None, "placement": BASE, "baseline": BASE}],
    "baseline": BASE,
    "rungs": [2],
}

PASSES = {"ranks": 1, "micro_batch": 64, "accumulation": 1, "note": None}  # of a result, as a trial alone reports it


def begun(name: str, root: str | Path | Folder) -> Study:
    study = Study(name, root)
    with study.owned():
        recipe, data = {"name": "r", "img_size": 32}, {"name": "d", "fingerprint": "0"}
        study.begin(
            {"space": "s", "backbone": "caformer_micro", "recipe": recipe, "budget": 4, "data": data, "report": REPORT}
        )
    return study


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
