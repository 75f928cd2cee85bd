import re
from base64 import b64decode
from dataclasses import replace

from results.recorder import Recorder
from results.report.make_report import make_report
from tests.support.studies import trial_record

BASE = "dwconv-dwconv-attn-attn"


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
