"""How long do large studies take to check, to report and to resume? `python -m benchmarks.large_studies`

Invents a study of N finished trials of different candidates, 12 epochs each, on the digits. Prints the seconds and the
peak memory of `python -m results verify`, of `python -m results` and of the search's own command, which finds
nothing to train and writes the report. Each runs in a process of its own, imports included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).parents[1]
EPOCHS = 12
# Four stages of up to 15 choices each: 18,225 candidates in the middle of which the command finds those that it needs.
SPACE = """
from searchspace.spaces import SearchSpace

CHOICES = {choices!r}
SPACE = SearchSpace("large", choices=CHOICES)
"""
SWITCHES = ("", ".noq", ".noscale", ".nosoftmax", ".noscale.nosoftmax", ".noq.noscale", ".noq.nosoftmax")
CHOICES = tuple(
    ("dwconv", *(f"{mixer}{switches}" for mixer in ("ska", "cska") for switches in SWITCHES)) for _ in range(4)
)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.large_studies", description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000, metavar="N", help="finished trials (%(default)s)")
    parser.add_argument("--keep", metavar="DIR", help="make the study in this folder and keep it")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(args.keep or folder)
        command = invent(root, args.trials)
        results = ["--results", str(root)]
        measure("verify", [sys.executable, "-m", "results", "verify", "large", *results])
        measure("report", [sys.executable, "-m", "results", "large", *results])
        measure("resume", [sys.executable, "orchestrate.py", *command])


def invent(root: Path, num_trials: int) -> list[str]:
    """Write a study of finished trials under `root`; the arguments of the command that has nothing left to train."""
    from orchestrator.command_line import make_parser
    from orchestrator.make_plan import make_plan
    from searchspace.candidate import Candidate

    space = root / "large.py"
    space.write_text(SPACE.format(choices=CHOICES))
    placements = islice(product(*CHOICES), num_trials)
    arguments = ["--space", str(space), "--results", str(root), "--sampler", "random", "--stopping", "none"]
    plan = make_plan(make_parser().parse_args(arguments))
    baseline = plan.candidates[0]
    candidates = [Candidate.parse(f"{baseline.backbone}-{'-'.join(stages)}") for stages in placements]
    candidates = list(dict.fromkeys([baseline, *candidates]))[:num_trials]
    with plan.study.owned():
        plan.study.begin(plan.settings())
        for number, candidate in enumerate(candidates):
            _write(plan, candidate, number)
    return [*arguments, "--trials", str(len(candidates) - 1)]


def _write(plan, candidate, number: int) -> None:  # type: ignore[no-untyped-def]
    """The files of one finished trial, without waiting for the disk."""
    from orchestrator.cost_measurement import cost_record
    from results.parquet_file import encode
    from results.records import CostRecord, EpochRecord, TrialRecord
    from trainers.cost import Cost

    level = 50 + crc32(str(candidate).encode()) % 4000 / 100
    trial = plan.trial(candidate, 0)
    rows = [
        EpochRecord(
            key=trial.key,
            candidate=trial.candidate,
            seed=0,
            epoch=epoch,
            train_loss=2 / epoch,
            val_loss=2 / epoch,
            top1=level - EPOCHS + epoch,
            lr=1e-3,
            seconds=10.0,
            finished_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=120 * number + 10 * epoch),
        )
        for epoch in range(1, EPOCHS + 1)
    ]
    done = replace(
        trial, status="done", epoch=EPOCHS, top1=level, test_top1=level, seconds=120.0, device="CPU", number=number
    )
    cost = cost_record(
        trial.candidate,
        plan.recipe.img_size,
        "CPU",
        Cost(
            device="CPU",
            batch_size=64,
            num_params=10**6,
            flops=10**7,
            images_per_second=1e3,
            train_images_per_second=1e3,
            peak_memory=10**8,
        ),
    )
    for table, kind, records in (
        ("trials", TrialRecord, [done]),
        ("epochs", EpochRecord, rows),
        ("costs", CostRecord, [cost]),
    ):
        file = plan.study.folder.path / table / f"{records[0].key}.parquet"
        file.write_bytes(encode(records, kind))


def measure(name: str, command: Sequence[str]) -> None:
    """Run a command and print its seconds and its peak memory."""
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    print(
        f"{name}: {seconds:.1f} s ({cpu:.1f} s of CPU), {usage.ru_maxrss / 2**10:.0f} MiB, exit code {code}", flush=True
    )


if __name__ == "__main__":
    main()
