"""What a running study shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from results.records import TrialRecord
from storage.plain_text import printable

STYLES = {"running": "", "done": "green", "paused": "dim", "stopped": "dim", "diverged": "red", "failed": "red"}


class Progress:
    """Shows the trials as their records change. A context manager."""

    def __init__(
        self,
        known: Iterable[TrialRecord],
        total: int = 0,
        console: Console | None = None,
        seconds_between_lines: float = 30.0,
        live_rows: int = 20,
    ) -> None:
        """`known`: the trials that the study holds. `total`: how many are expected in all.

        Without a terminal, a trial that goes on is printed every `seconds_between_lines`, one that has ended at once.
        The live table has the newest `live_rows` trials.
        """
        self.console = console or Console(highlight=False)
        self.total = total
        self.seconds_between_lines = seconds_between_lines
        self.live_rows = live_rows
        self.records: dict[str, TrialRecord] = {}
        self.shown_keys: set[str] = set()  # trials that have ended, or began since
        for record in known:
            self.records[record.key] = record
            if record.status != "running":
                self.shown_keys.add(record.key)
        self._last_line = time.monotonic()
        self._live: Live | None = None
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, record: TrialRecord) -> None:
        """Show the new row of a trial."""
        self.records[record.key] = record
        self.shown_keys.add(record.key)
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        now = time.monotonic()
        if record.status != "running" or now - self._last_line > self.seconds_between_lines:
            self._last_line = now
            self.print(f"{self._summary()}  |  {_describe(record)}")

    def print(self, line: str) -> None:
        """Print a line, above the live table where there is one."""
        self.console.print(printable(line), soft_wrap=True, markup=False)

    def _summary(self) -> str:
        counts: Counter[str] = Counter()
        for record in self.records.values():
            counts[record.status] += 1
        ended = counts.total() - counts["running"]
        total = max(self.total, len(self.records))
        notable = []
        for status in ("paused", "stopped", "diverged", "failed"):
            number = counts[status]
            if number:
                notable.append(f"{number} {status}")
        note = f" ({', '.join(notable)})" if notable else ""
        return f"{ended}/{total} trials{note}, {self._time_left()}"

    def _time_left(self) -> str:
        """The time until all trials have spent their budget, as text. Rungs can only make it shorter."""
        seconds = 0.0
        epochs = 0
        epochs_left = []  # of each trial that runs or is still to come
        at_a_time = 0
        for record in self.records.values():
            seconds += record.seconds
            epochs += record.epoch
            if record.status == "running":
                epochs_left.append(record.budget - record.epoch)
                at_a_time += record.key in self.shown_keys
        if not epochs:
            return "starting"
        budget = next(iter(self.records.values())).budget
        epochs_left += [budget] * (self.total - len(self.records))
        side_by_side = sum(epochs_left) / max(1, at_a_time)
        longest = max(epochs_left, default=0)  # one trial cannot be shared out
        left = seconds / epochs * max(side_by_side, longest)
        hours, rest = divmod(int(left), 3600)
        minutes, rest = divmod(rest, 60)
        return f"about {hours}:{minutes:02}:{rest:02} left"

    def _table(self) -> Table:
        table = Table(
            title=self._summary(),
            title_justify="left",
            header_style="bold",
            box=None,
            pad_edge=False,
        )
        table.add_column("candidate", no_wrap=True)
        for name in ("seed", "epoch", "val top-1 %", "state"):
            table.add_column(name, justify="right")
        shown = [record for record in self.records.values() if record.key in self.shown_keys]
        running_last = sorted(shown, key=lambda record: record.status == "running")
        for record in running_last[-self.live_rows :]:
            top1 = "" if record.top1 is None else f"{record.top1:.1f}"
            table.add_row(
                record.candidate,
                str(record.seed),
                f"{record.epoch}/{record.budget}",
                top1,
                record.status,
                style=STYLES[record.status],
            )
        return table


def _describe(record: TrialRecord) -> str:
    name = f"{record.candidate} seed {record.seed}"
    text = f"{name}: {record.status}, epoch {record.epoch}/{record.budget}"
    if record.top1 is None:
        return text
    return f"{text}  val top-1 {record.top1:.1f} %"
