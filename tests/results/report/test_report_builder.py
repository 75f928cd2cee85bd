import pandas as pd

from results.report.report_builder import ReportBuilder
from tests.support.result_tables import BASE, done, table


def test_a_table_becomes_three_files_and_a_section():
    builder = ReportBuilder("How to read it.")
    assert builder.add_table("Table 5", "A title", table(done(BASE, 0, 90.0)).reset_index(), "A caption.") == "table5"
    assert list(builder.files) == ["table5.parquet", "table5.md", "table5.tex"]
    assert builder.files["table5.md"].decode().startswith("A title. A caption.\n\n| row")
    assert builder.files["table5.md"].decode().endswith("\nHow to read it.\n")
    assert [section.title for section in builder.sections] == ["A title"]


def test_tables_of_one_name_get_different_files():
    builder = ReportBuilder("")
    numbers = table(done(BASE, 0, 90.0)).reset_index()
    assert builder.add_table("?", "", numbers, "") == "table"
    assert builder.add_table("?", "", numbers, "") == "table-2"


def test_numbers_become_a_parquet_file():
    builder = ReportBuilder("")
    builder.add_numbers("importance", pd.DataFrame({"factor": ["stage 2"], "share": 0.5, "p": 0.1}), "importance")
    assert list(builder.files) == ["importance.parquet"]
