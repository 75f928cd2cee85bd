"""The seven rows of `placement` with recipe `cifar10`, by the command that users run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

from benchmarks.gpu.outcomes import CheckFailedError, Found, require
from benchmarks.gpu.scale import Scale

ROOT = Path(__file__).parents[2]
NAME = "placement-gpu"


def seven_rows(device: torch.device, scale: Scale, *, data: str, results: str, seconds: float) -> Found:
    """Every published row trains to its end under Ray. Real images train for two epochs, the digits for all."""
    epochs = [] if data == "digits" else ["--epochs", "2"]
    options = ["--space", "placement", "--recipe", "cifar10", "--data", data, "--keep-published"]
    command = [sys.executable, str(ROOT / "orchestrate.py"), *options, *epochs]
    code, printed = run_command([*command, "--study", NAME, "--results", results], seconds)
    trials = read_trials(Path(results))
    done = trials[trials["status"] == "done"] if len(trials) else trials
    last = printed.strip().splitlines()[-1:] or ["nothing was printed"]
    require(code == 0, f"exit code {code}, {len(done)} of 7 rows done: {last[0]}")
    require(len(done) == 7, f"{len(done)} of 7 rows done")
    devices = ", ".join(sorted(set(done["device"])))
    best = done["test_top1"].max()
    worst = done["test_top1"].min()
    return Found(f"7 of 7 rows done on {devices}: test top-1 {worst:.1f} to {best:.1f} %")


def run_command(command: list[str], seconds: float) -> tuple[int, str]:
    """Exit code and output of a command, which gets SIGTERM after so many seconds and has 15 more to end."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        raise CheckFailedError(f"the command took longer than {seconds:.0f} s") from None
    return process.returncode, printed


def read_trials(results: Path) -> pd.DataFrame:
    """The rows of the study, none if it wrote none."""
    folder = results / NAME / "trials"
    return pd.read_parquet(folder) if folder.is_dir() else pd.DataFrame()
