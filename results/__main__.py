"""`python -m results placement` prints and writes the tables and figures of a study."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from results.store import RUNS, Study


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line if there is no such study or a file of it is damaged."""
    parser = argparse.ArgumentParser(
        prog="results", usage=argparse.SUPPRESS, description="Tables and figures of a study."
    )
    parser.add_argument("study", help="its name, such as placement")
    parser.add_argument("--results", type=Path, default=RUNS, metavar="DIR", help="folder of the studies (%(default)s)")
    args = parser.parse_args(argv)
    try:
        from results.report import write_report

        markdown, files = write_report(Study(args.study, args.results))
    except (ValueError, OSError) as error:
        print(f"results: error: {error}", file=sys.stderr)
        return 2
    print(markdown)
    print("\n".join(f"wrote {file}" for file in files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
