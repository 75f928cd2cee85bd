"""What a running study looks like: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from results.records import TrialRecord

STYLES = {"running": "", "done": "green", "paused": "dim", "stopped": "dim", "diverged": "red", "failed": "red"}
SHOWN = 20  # rows of the live table
LINE_EVERY = 30  # seconds between plain lines about running trials


class Progress:
    """Shows the trials as their records change; `total` are expected in all. A context manager."""

    def __init__(self, known: Iterable[TrialRecord], total: int = 0, console: Console | None = None) -> None:
        self.console, self.total = console or Console(highlight=False), total
        self.records = {record.key: record for record in known}
        self.begun = {key for key, record in self.records.items() if record.status != "running"}
        self._last_line = time.monotonic()
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def update(self, record: TrialRecord) -> None:
        """A trial's row has changed."""
        ended = record.status != "running"
        self.records[record.key] = record
        self.begun.add(record.key)
        if self._live:
            self._live.update(self._table(), refresh=True)
        elif ended or time.monotonic() - self._last_line > LINE_EVERY:
            self._last_line = time.monotonic()
            self.console.print(f"{self._summary()}  |  {_describe(record)}", soft_wrap=True)

    def say(self, line: str) -> None:
        """Something that happened, above the live table."""
        self.console.print(line, soft_wrap=True)

    def _summary(self) -> str:
        states = Counter(record.status for record in self.records.values())
        ended = sum(number for status, number in states.items() if status != "running")
        others = [
            f"{states[status]} {status}" for status in ("paused", "stopped", "diverged", "failed") if states[status]
        ]
        noted = f" ({', '.join(others)})" if others else ""
        return f"{ended}/{max(self.total, len(self.records))} trials{noted}, {self._eta()}"

    def _eta(self) -> str:
        """The trials that are left at the pace of those seen, side by side; rungs can only make it shorter."""
        left = [record for record in self.records.values() if record.status == "running"]
        seen = [record for record in self.records.values() if record.epoch]
        if not seen:
            return "starting"
        pace = sum(record.seconds for record in seen) / sum(record.epoch for record in seen)
        to_come = max(0, self.total - len(self.records))
        seconds = [pace * (record.budget - record.epoch) for record in left] + [pace * seen[0].budget] * to_come
        side_by_side = sum(record.key in self.begun for record in left)
        total = int(max(sum(seconds) / max(1, side_by_side), *seconds, 0))
        return f"about {total // 3600}:{total // 60 % 60:02}:{total % 60:02} left"

    def _table(self) -> Table:
        table = Table(title=self._summary(), title_justify="left", header_style="bold", box=None, pad_edge=False)
        table.add_column("candidate", no_wrap=True)
        for name in ("seed", "epoch", "val top-1 %", "state"):
            table.add_column(name, justify="right")
        newest_last = sorted((self.records[key] for key in self.begun), key=lambda record: record.status == "running")
        for record in newest_last[-SHOWN:]:
            top1 = "" if record.top1 is None else f"{record.top1:.1f}"
            epoch = f"{record.epoch}/{record.budget}"
            table.add_row(record.candidate, str(record.seed), epoch, top1, record.status, style=STYLES[record.status])
        return table


def _describe(record: TrialRecord) -> str:
    top1 = "" if record.top1 is None else f"  val top-1 {record.top1:.1f} %"
    return f"{record.candidate} seed {record.seed}: {record.status}, epoch {record.epoch}/{record.budget}{top1}"
