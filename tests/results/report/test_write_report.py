import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import pandas as pd
import pytest

from results.__main__ import main
from results.recorder import Recorder
from results.report.updater import ReportUpdater
from results.report.write_report import make_report, write_report
from tests.support.studies import SETTINGS, after_epochs, trial_record

BASE, OTHER = "dwconv-dwconv-attn-attn", "ska-dwconv-attn-attn"


@pytest.fixture
def reported(study, quiet):
    """A study with one finished trial, two seeds of one that the paper does not print, and its cost."""
    for placement, seed, top1 in ((BASE, 0, 91.0), (OTHER, 0, 89.0), (OTHER, 1, 88.0)):
        record = trial_record(placement, seed)
        recorder = Recorder(study, [record], quiet)
        recorder.on_report(*after_epochs(record, 4, test_top1=top1))
        recorder.on_end(record.key, "done")
    return study


def test_a_report_has_tables_and_figures_that_open(reported):
    text = write_report(reported)
    folder = reported.folder.path / "report"
    assert "91.0" in text
    assert f"wrote {folder / 'report.html'}" in text
    assert all((folder / name).exists() for name in text.splitlines()[-1].removeprefix("beside it: ").split(", "))
    assert pd.read_parquet(folder / "table5.parquet")["test_top1"].tolist() == [91.0]
    assert ET.parse(folder / "learning_curves.svg").getroot().tag.endswith("svg")  # noqa: S314
    assert (folder / "learning_curves.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_paper_does_not_print_has_a_table_of_its_own(reported):
    searched = make_report(reported).files["searched.parquet"]
    table = pd.read_parquet(BytesIO(searched))
    assert table["placement"].tolist() == [BASE, OTHER]
    assert table["difference"].tolist()[1] == pytest.approx(-2.5)


def test_the_same_study_gives_the_same_report(reported):
    assert make_report(reported).files == make_report(reported).files


def test_the_page_asks_nothing_of_any_network(reported):
    page = make_report(reported).files["report.html"].decode()
    references = re.findall(r"(?:src|href|url|action)\s*[=(]\s*[\"']?([^\"'\s>)]+)", page)
    assert references
    assert all(reference.startswith("data:") for reference in references)
    assert "<script" not in page
    drawings = [b64decode(text).decode() for text in re.findall(r"svg\+xml;base64,([^\"]+)", page)]
    assert drawings
    assert all(link.startswith("#") for drawing in drawings for link in re.findall(r"href=\"([^\"]*)", drawing))


def test_the_page_is_read_again_only_while_trials_run(reported, quiet):
    assert 'http-equiv="refresh"' not in make_report(reported).files["report.html"].decode()
    record = trial_record(BASE, 7)
    Recorder(reported, [record], quiet).on_start(record.key)
    assert 'http-equiv="refresh"' in make_report(reported).files["report.html"].decode()


def test_names_from_outside_are_text_on_the_page(study):
    study.begin(replace(study.settings(), data_name="<b>x</b>"))
    page = make_report(study).files["report.html"].decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x" not in page


def test_a_report_of_nothing_is_a_report(study):
    assert "not run" in write_report(study)


def test_the_report_is_refreshed_by_a_process_of_its_own(reported, quiet):
    with ReportUpdater(reported) as refresher:
        refresher.changed()
        first = refresher.process
        refresher.changed()  # not due again
        assert refresher.process is first
        assert first.wait(60) == 0
    assert (reported.folder.path / "report" / "report.html").exists()


def test_a_study_of_an_older_version_asks_to_be_run_again(study, capsys):
    settings = json.loads(study.folder.read("study.json"))
    del settings["report"]
    study.folder.write("study.json", json.dumps(settings).encode())
    assert main([study.name, "--results", str(study.folder.parent)]) == 2
    assert "run its command again" in capsys.readouterr().err
    study.begin(SETTINGS)
    assert main([study.name, "--results", str(study.folder.parent)]) == 0


def test_the_initial_weights_are_named_under_the_tables(study):
    settings = study.settings()
    with study.owned():
        study.begin(replace(settings, recipe={**settings.recipe, "init": "weights-0123abcd"}))
        record = trial_record(BASE, status="done", top1=90.0, test_top1=90.0)
        study.write("trials", record.key, [record])
    assert "recipe r from weights weights-0123abcd (which favour" in make_report(study).markdown[0]
