"""Keeps a running study's report current from a process of its own, so that no trial waits for a drawing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from results.store import Study

EVERY = 60  # seconds


class ReportUpdater:
    """Writes the report of `study` anew when told of a change, at most once in EVERY seconds. A context manager."""

    def __init__(self, study: Study) -> None:
        root = str(study.folder.absolute().parent)
        self.command = [sys.executable, "-m", "results", study.name, "--results", root]
        self.process: subprocess.Popen | None = None
        self.last = -float(EVERY)

    def changed(self) -> None:
        """A row has changed. Never waits."""
        due = time.monotonic() - self.last >= EVERY
        if due and (self.process is None or self.process.poll() is not None):
            self.last = time.monotonic()
            self.process = subprocess.Popen(
                self.command,
                cwd=Path(__file__).parents[1],  # where the packages are, installed or not
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the study
            )

    def __enter__(self) -> ReportUpdater:
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the writer: the study's own report comes next."""
        if self.process:
            self.process.terminate()
            self.process.wait()
