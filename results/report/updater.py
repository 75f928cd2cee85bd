"""Updates the report of a running study from a separate process, so that no trial waits for a figure."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from results.store import Study


class ReportUpdater:
    """Writes the report of `study` again when rows change, at most once in `seconds_between`. A context manager."""

    def __init__(self, study: Study, seconds_between: float = 60) -> None:
        root = str(study.folder.absolute().parent)
        self.command = [sys.executable, "-m", "results", study.name, "--results", root]
        self.seconds_between = seconds_between
        self.process: subprocess.Popen | None = None
        self.last_update: float | None = None

    def changed(self) -> None:
        """Start an update because a row has changed, unless the last one is too recent or still running.

        Returns at once. A change that is skipped is shown by the next update.
        """
        now = time.monotonic()
        is_recent = self.last_update is not None and now - self.last_update < self.seconds_between
        is_running = self.process is not None and self.process.poll() is None
        if is_recent or is_running:
            return
        self.last_update = now
        repository = Path(__file__).parents[2]  # the packages are found there if they are not installed
        self.process = subprocess.Popen(
            self.command,
            cwd=repository,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C in the terminal reaches the study and not this process
        )

    def __enter__(self) -> ReportUpdater:
        return self

    def __exit__(self, *error: object) -> None:
        """Terminate a running update, because the study writes its own report next."""
        if self.process:
            self.process.terminate()
            self.process.wait()
