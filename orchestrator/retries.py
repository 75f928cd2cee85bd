"""How often a trial may be interrupted before it has failed."""

from __future__ import annotations

from collections import Counter, defaultdict

from trainers.trial_task import FailureKind


class Retries:
    """Counts the interruptions of each trial since its last epoch.

    A trial fails at the third without an epoch in between, and at the second time that data cannot be read.
    """

    def __init__(self, max_interruptions: int = 3, max_read_failures: int = 2) -> None:
        self.max_interruptions = max_interruptions
        self.max_read_failures = max_read_failures
        self._counts: defaultdict[str, Counter[FailureKind]] = defaultdict(Counter)

    def on_epoch(self, key: str) -> None:
        """The trial has completed an epoch."""
        self._counts.pop(key, None)

    def on_interruption(self, key: str, kind: FailureKind) -> int:
        """The trial was interrupted. Returns 0 if it may go on, else the number of interruptions that were too many."""
        counts = self._counts[key]
        counts[kind] += 1
        if counts["io"] >= self.max_read_failures:
            return counts["io"]
        if counts.total() >= self.max_interruptions:
            return counts.total()
        return 0
