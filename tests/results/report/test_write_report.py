import xml.etree.ElementTree as ET

import pandas as pd

from results.report.write_report import write_report


def test_a_report_has_tables_and_figures_that_open(reported):
    text = write_report(reported)
    folder = reported.folder.path / "report"
    assert "91.0" in text
    assert f"wrote {folder / 'report.html'}" in text
    assert all((folder / name).exists() for name in text.splitlines()[-1].removeprefix("beside it: ").split(", "))
    assert pd.read_parquet(folder / "table5.parquet")["test_top1"].tolist() == [91.0]
    assert ET.parse(folder / "learning_curves.svg").getroot().tag.endswith("svg")  # noqa: S314
    assert (folder / "learning_curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_of_nothing_is_a_report(study):
    assert "not run" in write_report(study)
