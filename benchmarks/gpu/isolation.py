"""Runs a part in a process of its own, for a limited time: whatever happens in it, the next part runs."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from benchmarks.gpu.outcomes import CheckFailedError, Found, Outcome

# Started processes are forked from a server that has imported these. It has no CUDA context, so they may have one.
PRELOADED = ["benchmarks.gpu.correctness", "benchmarks.gpu.speed", "benchmarks.gpu.shared_card", "benchmarks.gpu.study"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the benchmark: `run()` returns what it found; it may take `limit` seconds."""

    group: str
    name: str
    run: Callable[[], Found]
    limit: float


def run_part(part: Part, remaining: float, start_method: str = "forkserver") -> Outcome:
    """Run a part for at most its limit and the seconds that remain of the whole benchmark."""
    limit = min(part.limit, remaining)
    if limit <= 0:
        return _outcome(part, "out of time", 0.0, "not begun")
    context: Any = get_context(start_method)
    if start_method == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(part.run, sender))
    start = time.monotonic()
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit):
            return _outcome(part, "out of time", time.monotonic() - start, f"ended after {limit:.0f} s")
        message = receiver.recv()
        process.join(2)  # it may have something to clean up
    except EOFError:
        process.join()
        return _outcome(part, "died", time.monotonic() - start, f"its process ended with code {process.exitcode}")
    finally:
        _kill(process)
    seconds = time.monotonic() - start
    if isinstance(message, Found):
        return Outcome(group=part.group, name=part.name, status="passed", seconds=seconds, found=message)
    return _outcome(part, "failed", seconds, message)


def _send(run: Callable[[], Found], sender: Any) -> None:
    """In the new process: send what was found, or a text that says what went wrong."""
    os.setsid()  # whatever it starts can be ended with it
    try:
        sender.send(run())
    except CheckFailedError as error:
        sender.send(str(error))
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or ["no message"]
        sender.send(f"{type(error).__name__}: {lines[0]}")


def _kill(process: Any) -> None:
    """Kill the process if it still runs, and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError):  # it has no group of its own yet, or nobody is left in it
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _outcome(part: Part, status: Any, seconds: float, detail: str) -> Outcome:
    return Outcome(group=part.group, name=part.name, status=status, seconds=seconds, found=Found(detail))
