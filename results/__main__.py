"""`python -m results placement` prints and writes the tables and figures of a study;
`python -m results verify placement` checks every byte of it."""

from __future__ import annotations

import argparse
import sys

from results.store import Study
from storage.plain_text import printable, replace_what_cannot_be_printed


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line if there is no such study or a file of it is damaged.

    Of verify: 0 if all is sound, 1 if something was not, 4 while the study runs.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["verify"]:
        return _verify(arguments[1:])
    return _report(arguments)


def _report(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="results", usage=argparse.SUPPRESS, description="Tables and figures of a study."
    )
    _add_study(parser)
    margin_help = "accuracies that differ by less are equivalent, in percentage points (default: half a point)"
    parser.add_argument("--margin", type=float, metavar="POINTS", help=margin_help)
    publish_help = "copy the rows to results/recorded, one file a table, and report there"
    parser.add_argument("--publish", "--record", action="store_true", help=publish_help)
    args = parser.parse_args(arguments)
    try:
        if args.margin is not None and not 0 < args.margin <= 100:
            raise ValueError(f"--margin {args.margin:g}, expected more than 0 and at most 100")
        from results.report.write_report import write_report
        from results.statistics.significance import MARGIN

        study = Study(args.study, args.results)
        if args.publish:
            study = study.publish()
        text = write_report(study, args.margin or MARGIN)
    except (ValueError, OSError) as error:
        return _refuse(error)
    print(text)
    return 0


def _verify(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="results verify",
        usage=argparse.SUPPRESS,
        description="Check every byte of a study; damaged files are put aside.",
    )
    _add_study(parser)
    args = parser.parse_args(arguments)
    from results.verify import verify
    from storage.owner import StudyBusyError

    try:
        findings = verify(Study(args.study, args.results))
    except StudyBusyError as error:
        print(f"results: {error}", file=sys.stderr)
        return 4
    except (ValueError, OSError) as error:
        return _refuse(error)
    print(findings)
    return 1 if findings.damaged or findings.disagreements else 0


def _refuse(error: Exception) -> int:
    print(printable(f"results: error: {error}"), file=sys.stderr)
    return 2


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="its name, such as placement")
    where = "folder of the studies, or the URI of one on an object store (%(default)s)"
    parser.add_argument("--results", "--storage", default="results/runs", metavar="DIR", help=where)


if __name__ == "__main__":
    replace_what_cannot_be_printed()
    sys.exit(main())
