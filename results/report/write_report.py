"""Writes the report of a study to its folder `report/`."""

from __future__ import annotations

from results.report.make_report import make_report
from results.statistics.significance import MARGIN
from results.store import Study
from storage.lock import wait_for_lock


def write_report(study: Study, margin: float = MARGIN) -> str:
    """Write the tables, figures and page of `study`. Returns the tables as Markdown and the names of the files.

    Accuracies within `margin` percentage points count as equivalent.
    """
    report = make_report(study, margin)
    folder = study.folder / "report"
    folder.make()
    with wait_for_lock(folder):  # a running search may be updating the same files
        for name, content in report.files.items():
            folder.write(name, content)
    *others, page = report.files
    lines = [*report.markdown, f"{report.legend}\n", f"wrote {folder / page}", f"beside it: {', '.join(others)}"]
    return "\n".join(lines)
