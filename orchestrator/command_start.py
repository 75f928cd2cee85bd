"""When this command started, which it still knows after it has executed itself again because Ray had died."""

from __future__ import annotations

import os
import time

VARIABLE = "STUDY_BEGAN"  # in the environment: seconds of the monotonic clock, which goes on while this machine runs


def remember_start() -> None:
    """Call this the command's start, unless the program that this one replaced has done so."""
    os.environ.setdefault(VARIABLE, str(time.monotonic()))


def start_time() -> float:
    """When the command started, in seconds of the monotonic clock; now if nobody has called `remember_start`."""
    return float(os.environ.get(VARIABLE, time.monotonic()))
