"""Detects stalled trials: those that have reported no epoch for much longer than an epoch takes in this study."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable


class StallDetector:
    """Remembers when each running trial last reported. All times are seconds of one monotonic clock.

    A trial is considered stalled after max(15 minutes, 10 median epochs) without a report, or after `timeout_seconds`
    if that is given. While no epoch of the study is known, only `timeout_seconds` can stall a trial.
    """

    max_stalls = 2  # a trial that stalled so often is not tried again in this run of the command

    def __init__(self, timeout_seconds: float | None = None, epoch_seconds: Iterable[float] = ()) -> None:
        """`epoch_seconds` are the durations of the epochs that the study holds already."""
        self.timeout_seconds = timeout_seconds
        self.epoch_seconds = sorted(epoch_seconds)
        self.last_heard: dict[str, float] = {}  # by trial key
        self.stall_messages: dict[str, str] = {}  # of trials that are being killed
        self.stall_counts: Counter[str] = Counter()
        self._last_look: float | None = None

    def allowed_silence(self) -> float:
        """Seconds without a report after which a trial is considered stalled."""
        if self.timeout_seconds is not None:
            return self.timeout_seconds
        if not self.epoch_seconds:
            return float("inf")
        median = self.epoch_seconds[len(self.epoch_seconds) // 2]
        return max(15 * 60.0, 10 * median)

    def on_start(self, key: str, now: float) -> None:
        """The trial's process has started."""
        self.last_heard[key] = now

    def on_report(self, key: str, now: float, epoch_seconds: float) -> None:
        """The trial has reported an epoch that took `epoch_seconds`."""
        insort(self.epoch_seconds, epoch_seconds)
        if key in self.last_heard:  # otherwise the trial is being killed, and this report came too late
            self.last_heard[key] = now

    def find_stalled(self, now: float) -> list[str]:
        """The trials that have stalled, each returned once: the caller kills them."""
        self._discount_absence(now)
        allowed_silence = self.allowed_silence()
        stalled = [key for key, heard in self.last_heard.items() if now - heard > allowed_silence]
        for key in stalled:
            del self.last_heard[key]
            self.stall_counts[key] += 1
            self.stall_messages[key] = f"no epoch for {allowed_silence / 60:.3g} minutes"
        return stalled

    def _discount_absence(self, now: float, *, longest_look_gap: float = 10.0) -> None:
        """If nobody looked for a while (a sleeping laptop, a slow store), do not count that time as silence."""
        absence = 0.0 if self._last_look is None else now - self._last_look
        self._last_look = now
        if absence > longest_look_gap:
            for key, heard in self.last_heard.items():
                self.last_heard[key] = min(now, heard + absence)

    def on_end(self, key: str) -> str | None:
        """The trial's process is gone. Returns why it was killed if it had stalled, else None."""
        self.last_heard.pop(key, None)
        return self.stall_messages.pop(key, None)

    def is_given_up(self, key: str) -> bool:
        """Whether the trial stalled too often to be tried again."""
        return self.stall_counts[key] >= self.max_stalls
