"""Ctrl-C and SIGTERM while trials run: the first stops the trials, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import ClassVar


class Interrupts:
    """Handles SIGINT and SIGTERM while it is entered. `received` is the signal that came, or 0."""

    last_signal: ClassVar[int] = 0  # what this process has received, also after the handlers are gone

    def __init__(self) -> None:
        self.received = 0
        self._forwarded = False

    def __enter__(self) -> Interrupts:
        self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def forward(self) -> None:
        """Tell Tune to stop if a signal came. Called from Tune's loop: before it, nothing handles Tune's SIGUSR1."""
        if self.received and not self._forwarded:
            self._forwarded = True
            signal.raise_signal(signal.SIGUSR1)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            if sys.stdout.isatty():
                print("\x1b[?25h", end="", flush=True)  # shows the cursor again, which the live table hides
            os._exit(128 + number)
        self.received = number
        Interrupts.last_signal = number
        print("\nstopping the trials; interrupt once more to end at once", file=sys.stderr, flush=True)
