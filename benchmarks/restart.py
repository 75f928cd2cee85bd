"""How long does a killed study take until it has a new row? `python -m benchmarks.restart`

Starts the digits' placement study, kills the command with SIGKILL as soon as it has written a new epoch, starts it
again, and prints for each restart the seconds from the command to the first new epoch, and their median.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]


def epochs(study: Path) -> int:
    """Rows of epochs that are there."""
    return sum(
        pq.ParquetFile(pa.BufferReader(file.read_bytes())).metadata.num_rows for file in study.glob("epochs/*.parquet")
    )


def seconds_to_a_row(results: Path) -> float:
    """From the start of the command, which is killed then, to the first new epoch."""
    before, start = epochs(results / "placement"), time.monotonic()
    command = [sys.executable, "orchestrate.py", "--space", "placement", "--results", str(results)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while epochs(results / "placement") == before:
        if process.poll() is not None:
            raise RuntimeError(f"the study ended with {process.returncode} before it could be killed")
        time.sleep(0.02)
    took = time.monotonic() - start
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(5)  # what it has started ends
    return took


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.restart", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="restarts (%(default)s)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        first, *restarts = (seconds_to_a_row(Path(folder)) for _ in range(args.repeats + 1))
    print(f"first start {first:.1f} s; restarts {', '.join(f'{value:.1f}' for value in restarts)} s")
    print(f"median of {len(restarts)} restarts: {statistics.median(restarts):.1f} s from the command to a new row")


if __name__ == "__main__":
    main()
