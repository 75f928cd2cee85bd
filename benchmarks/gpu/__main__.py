"""Everything that only a GPU can show: `python -m benchmarks.gpu --data DIR --out FOLDER`.

Correctness, speed and a small study on one card, in under 8 minutes. Writes parts.parquet, speeds.parquet and gpu.md.
Exit code 0: every part passed; 1: some did not; 2: no GPU, or wrong input.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu import correctness, shared_card, speed, study
from benchmarks.gpu.isolation import Part, run_part
from benchmarks.gpu.outcomes import Found, Outcome, require
from benchmarks.gpu.page import write
from benchmarks.gpu.scale import ON_GPU, PLACEMENTS, Scale

TOTAL_SECONDS = 465.0
ROOT = Path(__file__).parents[2]


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    what = "what --recipe cifar10 is trained on: a folder of images or Parquet, or digits (%(default)s)"
    parser.add_argument("--data", default="digits", metavar="DIR", help=what)
    parser.add_argument(
        "--out", default="gpu-benchmark", metavar="FOLDER", help="where files are written (%(default)s)"
    )
    args = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("no GPU: torch sees no CUDA device, expected one", file=sys.stderr)
        return 2
    if args.data != "digits" and not Path(args.data).is_dir():
        print(f"no folder at {args.data}, expected images, Parquet, or digits", file=sys.stderr)
        return 2
    out = Path(args.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "data": Path(args.data).name,
    }
    data = args.data if args.data == "digits" else str(Path(args.data).resolve())
    parts = all_parts(torch.device("cuda"), ON_GPU, data=data, out=out)
    return run_parts(parts, out, facts)


def run_parts(
    parts: list[Part], out: Path, facts: dict[str, str], *, total: float = TOTAL_SECONDS, start: str = "forkserver"
) -> int:
    """Run the parts one after another and write the page after each. Returns the exit code."""
    begin = time.monotonic()
    outcomes: list[Outcome] = []
    for part in parts:
        remaining = total - (time.monotonic() - begin)
        outcome = run_part(part, remaining, start)
        outcomes.append(outcome)
        print(f"{outcome.status:12}{outcome.seconds:6.1f} s  {part.name}: {outcome.found.detail}", flush=True)
        text = write(outcomes, out, facts, time.monotonic() - begin)
    print(f"\n{text}\nwrote {out}/gpu.md, parts.parquet and speeds.parquet")
    return int(any(outcome.status != "passed" for outcome in outcomes))


def all_parts(device: torch.device, scale: Scale, *, data: str, out: Path) -> list[Part]:
    """The parts in the order in which they run: what compiles longest comes last."""
    parts = []
    for check in correctness.CHECKS:
        parts.append(
            Part(group="correctness", name=_title(check.__name__), run=partial(check, device, scale), limit=60)
        )
    parts.append(
        Part(
            group="correctness",
            name="memory of a CUDA context",
            run=partial(shared_card.memory_of_a_context, device, scale),
            limit=30,
        )
    )
    for name in PLACEMENTS:
        run = partial(speed.eager_steps, device, scale, name=name)
        parts.append(Part(group="speed", name=f"{name}, eager", run=run, limit=60))
    side_by_side = partial(shared_card.small_trials_side_by_side, device, scale)
    parts.append(Part(group="speed", name="small images side by side", run=side_by_side, limit=75))
    rows = partial(study.seven_rows, device, scale, data=data, results=str(out / "study"), seconds=100)
    parts.append(Part(group="study", name="the seven rows of placement", run=rows, limit=120))
    parts.append(Part(group="correctness", name="tests marked gpu", run=marked_tests, limit=60))
    for name in PLACEMENTS:
        run = partial(speed.compiled_steps, device, scale, name=name)
        parts.append(Part(group="speed", name=f"{name}, compiled", run=run, limit=90))
    return parts


def marked_tests(seconds: float = 55.0) -> Found:
    """The tests that need a GPU and are not among the checks above."""
    if not (ROOT / "tests").is_dir():
        return Found("no tests here")
    options = ["-q", "-n", "0", "-m", "gpu and not slow", "-p", "no:cacheprovider"]
    skipped = "--ignore=tests/benchmarks/gpu/test_correctness.py"
    command = [
        sys.executable,
        "-m",
        "pytest",
        *options,
        skipped,
        "tests/searchspace",
        "tests/trainers",
        "tests/benchmarks",
    ]
    code, printed = study.run_command(command, seconds)
    last = (printed.strip().splitlines() or ["nothing was printed"])[-1]
    nothing_selected = 5
    require(code in (0, nothing_selected), f"exit code {code}: {last}")
    return Found(last)


def _title(function: str) -> str:
    return function.replace("_", " ")


if __name__ == "__main__":
    # A study of this benchmark takes the GPU as its own; nothing of the parent's choice of devices is changed.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
