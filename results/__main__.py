"""`python -m results placement` prints and writes the tables and figures of a study;
`python -m results verify placement` checks every byte of it."""

from __future__ import annotations

import argparse
import sys

from results.store import RECORDED, RUNS, Study


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line if there is no such study or a file of it is damaged.

    Of verify: 0 if all is sound, 1 if something was not, 4 while the study is being run.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["verify"]:
        return _verify(argv[1:])
    parser = argparse.ArgumentParser(
        prog="results", usage=argparse.SUPPRESS, description="Tables and figures of a study."
    )
    _add_study(parser)
    margin = "points within which two accuracies count as equivalent (half a point)"
    parser.add_argument("--margin", type=float, metavar="POINTS", help=margin)
    publish = f"copy the rows to {RECORDED}, one file a table, and report there"
    parser.add_argument("--publish", "--record", action="store_true", help=publish)
    args = parser.parse_args(argv)
    try:
        if args.margin is not None and not 0 < args.margin <= 100:
            raise ValueError(f"--margin {args.margin:g}, expected more than 0 and at most 100")
        from results.report.write_report import write_report
        from results.statistics.comparison import MARGIN

        study = Study(args.study, args.results)
        text = write_report(study.publish() if args.publish else study, args.margin or MARGIN)
    except (ValueError, OSError) as error:
        print(f"results: error: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _verify(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="results verify", usage=argparse.SUPPRESS, description="Check every byte of a study; damage is put aside."
    )
    _add_study(parser)
    args = parser.parse_args(argv)
    from results.verify import verify
    from storage.lock import StudyBusyError

    try:
        findings = verify(Study(args.study, args.results))
    except StudyBusyError as error:
        print(f"results: {error}", file=sys.stderr)
        return 4
    except (ValueError, OSError) as error:
        print(f"results: error: {error}", file=sys.stderr)
        return 2
    print(findings)
    return int(bool(findings.aside or findings.disagree))


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="its name, such as placement")
    folder = "folder of the studies, or the URI of one on an object store (%(default)s)"
    parser.add_argument("--results", "--storage", default=RUNS, metavar="DIR", help=folder)


if __name__ == "__main__":
    sys.exit(main())
