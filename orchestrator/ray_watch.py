"""Notices that Ray itself has died. Ray would wait for itself, for a minute or for ever.

Where Ray was started by this command, the command starts again, in the same process: it goes on from its rows. Where it
has joined a cluster, it ends.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import ray

from orchestrator import orphan_reaper
from orchestrator.interrupts import Interrupts
from orchestrator.ray_session import remove_session_folder, withdraw_token

RESTARTS_VARIABLE = "STUDY_RESTARTS"  # in the environment: how often in a row Ray died soon after its start


class RayWatch:
    """Calls `find_death` every `interval_seconds` from a thread. A context manager.

    `find_death` returns what has died, in a few words, or None. What it finds is passed to `on_death`, with the seconds
    since the watch began.
    """

    def __init__(
        self,
        find_death: Callable[[], str | None],
        on_death: Callable[[str, float], None],
        *,
        interval_seconds: float = 0.5,
    ) -> None:
        self.find_death = find_death
        self.on_death = on_death
        self.interval_seconds = interval_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watches Ray")

    def __enter__(self) -> RayWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        began = time.monotonic()
        while not self._over.wait(self.interval_seconds):
            death = self.find_death()
            if death is not None and not self._over.is_set():
                self.on_death(death, time.monotonic() - began)
                return


def watch_ray(session: Path | None) -> RayWatch:
    """The watch over the Ray that this process has started, with its folder, or over a cluster that it has joined."""
    if session:
        return RayWatch(find_dead_process, partial(start_again, session=session))
    gcs_address = ray.get_runtime_context().gcs_address
    return RayWatch(SilentServer(gcs_address).find_death, end_command, interval_seconds=2.0)


def find_dead_process() -> str | None:
    """Which process of the local Ray has died and how, or None. Its agents end the raylet when they die."""
    node = ray._private.worker._global_node
    if node is None:
        return None
    for kind, process in node.dead_processes():
        if kind in ("raylet", "gcs_server"):
            return f"Ray's {kind} died (exit code {process.returncode})"
    return None


class SilentServer:
    """Finds that nothing listens at a HOST:PORT any more, after `max_refusals` attempts in a row."""

    def __init__(self, address: str, max_refusals: int = 3) -> None:
        self.address = address
        self.max_refusals = max_refusals
        self.refusals = 0

    def find_death(self) -> str | None:
        """What has died, or None."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
        except OSError:
            self.refusals += 1
        else:
            self.refusals = 0
        if self.refusals < self.max_refusals:
            return None
        return f"the Ray cluster at {self.address} no longer answers"


def start_again(
    death: str, life_seconds: float, *, session: Path, max_restarts: int = 3, short_life_seconds: float = 600.0
) -> None:
    """Replace this process by the same command, unless it was interrupted or Ray died soon too often in a row.

    What is left of Ray is killed, and its folder `session` removed with the token in it: the new Ray gets its own.
    """
    restarts = 1
    if life_seconds < short_life_seconds:
        restarts += int(os.environ.get(RESTARTS_VARIABLE, "0"))
    if Interrupts.last_signal or restarts > max_restarts:
        end_command(death, life_seconds)
    _say(f"{death}: Ray is started again, and training goes on from the last complete epochs")
    os.environ[RESTARTS_VARIABLE] = str(restarts)
    orphan_reaper.kill_all(orphan_reaper.descendants_of(psutil.Process()))
    orphan_reaper.kill_marked_processes(os.environ[orphan_reaper.VARIABLE])
    withdraw_token(session)
    remove_session_folder(session)
    if Interrupts.last_signal:  # it came in these seconds, and the next program would not know of it
        end_command(death, life_seconds)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def end_command(death: str, life_seconds: float) -> None:
    """End this process at once: Ray's own shutdown would wait for what is dead."""
    _say(f"{death}: completed epochs are saved; run the same command again to continue")
    os._exit(128 + Interrupts.last_signal if Interrupts.last_signal else 1)


def _say(line: str) -> None:
    """Print the line after all that this process has printed: neither execv nor _exit writes what is buffered."""
    sys.stdout.flush()
    if sys.stdout.isatty():
        print("\x1b[?25h", end="", flush=True)  # shows the cursor again, which the live table hides
    print(f"\norchestrate.py: {line}", file=sys.stderr, flush=True)
