"""Studies and records of trials that were never run."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from results.records import EpochRecord, TrialRecord
from results.settings import PublishedRow, StudySettings
from results.store import Study
from storage.folder import Folder

BASE = "dwconv-dwconv-attn-attn"
SETTINGS = StudySettings(
    space="s",
    backbone="caformer_micro",
    data_name="d",
    data_fingerprint="0",
    recipe={"name": "r", "img_size": 32},
    budget=4,
    rows=(PublishedRow(table="Table 5", row="none", heads=None, placement=BASE, baseline=BASE),),
    baseline=BASE,
    rungs=(2,),
)


def begun(name: str, root: str | Path | Folder) -> Study:
    study = Study(name, root)
    with study.owned():
        study.begin(SETTINGS)
    return study


def trial_record(placement: str = "dwconv-dwconv-attn-attn", seed: int = 0, **changes: object) -> TrialRecord:
    """The row of a trial of SETTINGS; one that is done has spent its budget."""
    fingerprint = SETTINGS.recipe_fingerprint
    budget = changes.get("budget", SETTINGS.budget)
    fields = {
        "key": f"caformer_micro-{placement}--r-{fingerprint}-0--seed{seed}",
        "study": "s",
        "space": "s",
        "candidate": f"caformer_micro-{placement}",
        "backbone": "caformer_micro",
        "placement": placement,
        "published": True,
        "recipe": "r",
        "recipe_fingerprint": fingerprint,
        "data": "d",
        "data_fingerprint": "0",
        "seed": seed,
        "epoch": budget if changes.get("status") == "done" else 0,
        "budget": budget,
        "commit": "c",
    }
    return TrialRecord(**{**fields, **changes})


KEY = trial_record().key


def epoch_record(key: str = KEY, epoch: int = 1, **changes: object) -> EpochRecord:
    """The row of one epoch of the trial `key`, which names its candidate and seed."""
    fields = {
        "key": key,
        "candidate": key.partition("--")[0],
        "seed": int(key.rpartition("--seed")[2] or 0),
        "epoch": epoch,
        "train_loss": 1.0,
        "val_loss": 2.0,
        "top1": 90.0,
        "lr": 0.1,
        "seconds": 2.0,
        "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return EpochRecord(**{**fields, **changes})


def after_epochs(
    record: TrialRecord, epochs: int, top1: float = 90.0, **changes: object
) -> tuple[TrialRecord, list[EpochRecord]]:
    """The row of a trial after so many epochs, and the rows of these; epoch n has top-1 `top1 + n`, at most 100."""
    rows = [
        epoch_record(record.key, number, candidate=record.candidate, seed=record.seed, top1=min(100.0, top1 + number))
        for number in range(1, epochs + 1)
    ]
    fields = {
        "epoch": epochs,
        "top1": min(100.0, top1 + epochs),
        "seconds": 2.0 * epochs,
        "device": "CPU",
        "torch": "2",
    }
    return replace(record, **{**fields, **changes}), rows
