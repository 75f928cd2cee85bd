"""A copy of the product's code that a command runs from, so that editing the code meanwhile changes nothing.

A command imports some modules late, and the processes of its trials import them again and again, for days. So
`python orchestrate.py` first copies its packages to a temporary folder and executes itself again from there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from trainers.version import ROOT, SNAPSHOT_FILE, describe_snapshot

COPIED = ("orchestrate.py", "orchestrator", "storage", "searchspace", "trainers", "schedulers", "results")


def snapshot_folder() -> Path | None:
    """The folder that this process runs from if it is a snapshot, else None."""
    return ROOT if (ROOT / SNAPSHOT_FILE).exists() else None


def run_from_snapshot() -> None:
    """Replace this process by the same command line, run from a new snapshot. OSError if it cannot be written.

    Returns only where this process runs from a snapshot already, which is removed when the process ends.
    """
    snapshot = snapshot_folder()
    if snapshot:
        atexit.register(shutil.rmtree, snapshot, ignore_errors=True)
        return
    snapshot = take_snapshot()
    given = sys.orig_argv[1 : -len(sys.argv)]
    interpreter_options = [option for option in given if option != "-m"]
    command = [sys.executable, *interpreter_options, str(snapshot / "orchestrate.py"), *sys.argv[1:]]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606


def take_snapshot() -> Path:
    """Copy the code to a new temporary folder, and say there what it is a copy of; returns the folder."""
    snapshot = Path(tempfile.mkdtemp(prefix="static-key-code-"))
    try:
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, snapshot / name, ignore=_ignored)
            else:
                shutil.copy2(source, snapshot / name)
        (snapshot / SNAPSHOT_FILE).write_text(describe_snapshot(snapshot))
    except OSError:
        shutil.rmtree(snapshot, ignore_errors=True)
        raise
    return snapshot


def _ignored(folder: str, names: Iterable[str]) -> list[str]:
    """What is not code: the studies, which lie beside the package that reads them."""
    if Path(folder) == ROOT / "results":
        return [name for name in names if name in ("runs", "recorded")]
    return []
