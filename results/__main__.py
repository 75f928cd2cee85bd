"""`python -m results placement` prints and writes the tables and figures of a study."""

from __future__ import annotations

import argparse
import sys

from results.store import RECORDED, RUNS, Study


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line if there is no such study or a file of it is damaged."""
    parser = argparse.ArgumentParser(
        prog="results", usage=argparse.SUPPRESS, description="Tables and figures of a study."
    )
    parser.add_argument("study", help="its name, such as placement")
    folder = "folder of the studies, or the URI of one on an object store (%(default)s)"
    parser.add_argument("--results", "--storage", default=RUNS, metavar="DIR", help=folder)
    margin = "points within which two accuracies count as equivalent (half a point)"
    parser.add_argument("--margin", type=float, metavar="POINTS", help=margin)
    record = f"copy the rows to {RECORDED}, one file a table, and report there"
    parser.add_argument("--record", action="store_true", help=record)
    args = parser.parse_args(argv)
    try:
        if args.margin is not None and not 0 < args.margin <= 100:
            raise ValueError(f"--margin {args.margin:g}, expected more than 0 and at most 100")
        from results.evidence import MARGIN
        from results.report import write_report

        study = Study(args.study, args.results)
        text = write_report(study.record() if args.record else study, args.margin or MARGIN)
    except (ValueError, OSError) as error:
        print(f"results: error: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
