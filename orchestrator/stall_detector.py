"""Which trial hangs: it has given no epoch for much longer than the study's epochs take."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable

TIMES, LEAST = 10, 15 * 60.0  # as long as the median epoch, and seconds: silent for both, a trial hangs
AWAY = 10.0  # seconds between two looks, above which nobody was listening and no silence counts
MOST_HANGS = 2  # of a trial, in one run of the command


class StallDetector:
    """Keeps account of when each trial was last heard of. Times are seconds of any clock that never goes back."""

    def __init__(self, after: float | None = None, durations: Iterable[float] = ()) -> None:
        """A trial hangs `after` so many seconds, or by what the study's epochs took: the known ones' `durations`."""
        self.after, self.durations = after, sorted(durations)
        self.heard: dict[str, float] = {}
        self.hung: dict[str, str] = {}
        self.hangs: Counter[str] = Counter()
        self._looked: float | None = None

    @property
    def patience(self) -> float:
        """Seconds; without end while no epoch is known."""
        if self.after is not None:
            return self.after
        known = len(self.durations)
        return max(LEAST, TIMES * self.durations[known // 2]) if known else float("inf")

    def started(self, key: str, now: float) -> None:
        """The trial has a process."""
        self.heard[key] = now

    def reported(self, key: str, now: float, duration: float) -> None:
        """The trial has one more epoch, which took so long."""
        insort(self.durations, duration)
        if key in self.heard:  # otherwise it is being killed
            self.heard[key] = now

    def hanging(self, now: float) -> list[str]:
        """Those that hang, each once: they are to be killed."""
        away = now - self._looked if self._looked is not None else 0.0
        self._looked = now
        if away > AWAY:
            self.heard = {key: min(now, heard + away) for key, heard in self.heard.items()}
        found = [key for key, heard in self.heard.items() if now - heard > self.patience]
        for key in found:
            del self.heard[key]
            self.hangs[key] += 1
            self.hung[key] = f"no epoch for {self.patience / 60:.3g} minutes"
        return found

    def ended(self, key: str) -> str:
        """The trial's process is gone. If that is because it hung: what to say of it."""
        self.heard.pop(key, None)
        return self.hung.pop(key, "")

    def hopeless(self, key: str) -> bool:
        """Whether the trial hung so often that it is not tried again."""
        return self.hangs[key] >= MOST_HANGS
