"""Detects stalled trials: those that have reported no epoch for much longer than an epoch takes in this study."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable

SHORTEST_SECONDS = 15 * 60.0  # no trial stalls sooner: reading data, saving and a busy machine take minutes
START_SECONDS = 10 * 60.0  # for a process before its first report: imports, opening the data, compiling
EPOCHS_OF_SILENCE = 3  # a stalled trial resumes from its checkpoint, so a false alarm costs the epoch in flight
FORECAST_EPOCHS_OF_SILENCE = 5  # while only the forecast is known, which was measured on an idle machine
UNKNOWN_SECONDS = 3 * 3600.0  # before the first epoch of a study whose speed could not be measured


class StallDetector:
    """Remembers when each running trial last reported. All times are seconds of one monotonic clock.

    A trial is considered stalled after max(15 minutes, 3 epochs) without a report, or after `timeout_seconds` if that
    is given. An epoch is the longer of the study's median and the trial's longest. Before the first report of a
    process, the forecast counts too, and 10 minutes are added; while the study has no epoch, 5 forecast epochs are
    allowed. What has stalled once is given twice as long.
    """

    max_stalls = 2  # a trial that stalled so often is not tried again in this run of the command

    def __init__(
        self,
        timeout_seconds: float | None = None,
        epoch_seconds: Iterable[float] = (),
        forecast_seconds: float | None = None,
    ) -> None:
        """`epoch_seconds`: those that the study holds already. `forecast_seconds`: the preflight's longest epoch."""
        self.timeout_seconds = timeout_seconds
        self.forecast_seconds = forecast_seconds
        self.epoch_seconds = sorted(epoch_seconds)
        self.last_heard: dict[str, float] = {}  # by trial key
        self.longest_epochs: dict[str, float] = {}  # seconds, of the processes that have reported
        self.stall_messages: dict[str, str] = {}  # of trials that are being killed
        self.stall_counts: Counter[str] = Counter()
        self._last_look: float | None = None

    def allowed_silence(self, key: str) -> float:
        """Seconds without a report after which this trial is considered stalled."""
        if self.timeout_seconds is not None:
            return self.timeout_seconds
        if key in self.longest_epochs:
            seconds = EPOCHS_OF_SILENCE * max(self._median(), self.longest_epochs[key])
        else:
            seconds = self._silence_before_a_report()
        return max(SHORTEST_SECONDS, seconds) * 2 ** self.stall_counts[key]

    def describe(self) -> str:
        """One line for people: after how long a trial counts as stalled, and where that comes from."""
        if self.timeout_seconds is not None:
            return (
                f"a trial that reports no epoch for {self.timeout_seconds / 60:.3g} minutes (--hang-after) is restarted"
            )
        first = max(SHORTEST_SECONDS, self._silence_before_a_report()) / 60
        source = "three known epochs" if self.epoch_seconds else "five forecast epochs"
        if not self.epoch_seconds and self.forecast_seconds is None:
            source = "its speed is not known"
        return (
            f"a trial that reports no first epoch within {first:.0f} minutes ({source}), or later none for three "
            "epochs and 15 minutes, is restarted from its checkpoint (--hang-after MINUTES)"
        )

    def on_start(self, key: str, now: float) -> None:
        """The trial's process has started."""
        self.last_heard[key] = now
        self.longest_epochs.pop(key, None)

    def on_report(self, key: str, now: float, epoch_seconds: float) -> None:
        """The trial has reported an epoch that took `epoch_seconds`."""
        insort(self.epoch_seconds, epoch_seconds)
        if key in self.last_heard:  # otherwise the trial is being killed, and this report came too late
            self.last_heard[key] = now
            self.longest_epochs[key] = max(epoch_seconds, self.longest_epochs.get(key, 0.0))

    def find_stalled(self, now: float) -> list[str]:
        """The trials that have stalled, each returned once: the caller kills them."""
        self._discount_absence(now)
        stalled = [key for key, heard in self.last_heard.items() if now - heard > self.allowed_silence(key)]
        for key in stalled:
            del self.last_heard[key]
            self.stall_messages[key] = f"no epoch for {self.allowed_silence(key) / 60:.3g} minutes"
            self.stall_counts[key] += 1
        return stalled

    def _silence_before_a_report(self) -> float:
        """Seconds that a process may take to its first report, by the study's epochs and the forecast."""
        forecast = self.forecast_seconds or 0.0
        if self.epoch_seconds:
            return EPOCHS_OF_SILENCE * max(self._median(), forecast) + START_SECONDS
        if self.forecast_seconds is None:
            return UNKNOWN_SECONDS
        return FORECAST_EPOCHS_OF_SILENCE * forecast + START_SECONDS

    def _median(self) -> float:
        return self.epoch_seconds[len(self.epoch_seconds) // 2]

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
