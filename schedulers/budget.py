"""The budget of a search: `12h`, `300epochs` or `40trials`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Literal, cast

from schedulers.search import ActiveJobs, Job, TrialName, Trials

Unit = Literal["h", "epochs", "trials"]


@dataclass(frozen=True)
class Budget:
    """Hours of wall clock since the command started, or epochs or trials of the study.

    A search never exceeds it, except that trials which are running when the hours are over reach the end of their job.
    """

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads `12h`, `1.5h`, `300epochs` or `40trials`. Raises ValueError for anything else, zero included."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)h|(\d+)(epochs|trials)", text.replace(" ", ""))
        amount = float(match[1] or match[2]) if match else 0.0
        if not match or amount == 0:
            raise ValueError(f"--budget {text}, expected hours, epochs or trials, such as 12h, 300epochs or 40trials")
        return cls(amount, cast(Unit, match[3] or "h"))

    def allows(self, *, hours: float, epochs: int, trials: int) -> bool:
        """Whether these totals are within the budget; only the one in the budget's unit counts."""
        totals = {"h": hours, "epochs": epochs, "trials": trials}
        return totals[self.unit] <= self.amount

    def __str__(self) -> str:
        unit = "hours" if self.unit == "h" else self.unit
        return f"{self.amount:g} {unit}"


@dataclass(frozen=True)
class BudgetAccount:
    """A budget (None: unlimited) together with the time at which spending began."""

    budget: Budget | None = None
    began: float = field(default_factory=time.monotonic)  # seconds of the monotonic clock

    def allows(self, job: Job, trials: Trials, active_jobs: ActiveJobs) -> bool:
        """Whether the job fits, given what was spent and what the active jobs will spend.

        Epochs that another study trained cost nothing.
        """
        if self.budget is None:
            return True
        spent_epochs = 0
        begun_trials = 0
        for name, epochs in _epochs_by_trial(job, trials, active_jobs).items():
            imported = trials[name].imported_epochs if name in trials else 0
            spent_epochs += epochs - imported
            if epochs > imported or imported == 0:
                begun_trials += 1
        hours = (time.monotonic() - self.began) / 3600
        return self.budget.allows(hours=hours, epochs=spent_epochs, trials=begun_trials)


def _epochs_by_trial(job: Job, trials: Trials, active_jobs: ActiveJobs) -> dict[TrialName, int]:
    """The epochs that each trial will have once the job and all active jobs have ended."""
    epochs: dict[TrialName, int] = {}
    for name, trial in trials.items():
        # A failed trial counts as one epoch at least; otherwise a race whose trials all fail would never end.
        epochs[name] = max(len(trial.top1), 1 if trial.status == "failed" else 0)
    for each in (*active_jobs.values(), job):
        epochs[each.name] = max(each.until, epochs.get(each.name, 0))
    return epochs
