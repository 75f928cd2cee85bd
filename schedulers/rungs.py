"""Rungs that survive a restart and spare the paper's own rows; the rule itself is Ray's ASHA (arXiv 1810.05934)."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from results.records import EpochRecord


class Rungs:
    """Mixed with Ray's ASHAScheduler. Knows trials by their key, so that it can be refilled from records."""

    spared: frozenset[str] = frozenset()  # keys of trials that a rung counts but never stops

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        super().on_trial_add(controller, _by_key(trial))

    def on_trial_result(self, controller: Any, trial: Any, result: dict) -> str:
        named = _by_key(trial)
        action = super().on_trial_result(controller, named, result)
        return self.CONTINUE if named.trial_id in self.spared else action

    def on_trial_complete(self, controller: Any, trial: Any, result: dict) -> None:
        super().on_trial_complete(controller, _by_key(trial), result)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        super().on_trial_remove(controller, _by_key(trial))

    def refill(self, records: Iterable[EpochRecord]) -> None:
        """Put what earlier runs of the study reported back on the rungs, in the order in which it was reported."""
        for record in sorted(records, key=lambda record: record.finished_at):
            if record.top1 is not None:
                trial = SimpleNamespace(config={"trial": {"key": record.key}})
                self.on_trial_add(None, trial)
                self.on_trial_result(None, trial, {"epoch": record.epoch, "top1": record.top1})


def _by_key(trial: Any) -> SimpleNamespace:
    return SimpleNamespace(trial_id=trial.config["trial"]["key"])
