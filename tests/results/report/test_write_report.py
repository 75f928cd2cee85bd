import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from io import BytesIO, StringIO

import pandas as pd
import pytest
from rich.console import Console

from results.__main__ import main
from results.progress import Progress
from results.recorder import Recorder
from results.records import TrialRecord
from results.report.updater import ReportUpdater
from results.report.write_report import make_report, write_report
from tests.support.studies import PASSES, REPORT, trial_record

BASE, OTHER = "dwconv-dwconv-attn-attn", "ska-dwconv-attn-attn"


def result(epochs, top1=90.0, **changes):
    losses = {"train_loss": 1.0, "val_loss": 2.0, "lr": 0.1, "seconds": 2.0}
    history = [{**losses, "epoch": n, "top1": top1 + n, "finished_at": n} for n in range(1, epochs + 1)]
    return {
        "epoch": epochs,
        "history": history,
        "test_top1": None,
        "device": "CPU",
        "torch": "2",
        "diverged": False,
        "finished": False,
        **PASSES,
        **changes,
    }


def test_smaller_passes_are_recorded_and_said(study):
    shown, record = StringIO(), trial_record(BASE)
    console = Console(file=shown, width=200)
    note = "256 images at a time do not fit into memory: goes on with 128 x 2"
    smaller = {"micro_batch": 128, "accumulation": 2, "note": note}
    Recorder(study, [record], Progress([], console=console)).reported(record.key, result(1, **smaller))
    row = study.trials().iloc[0]
    assert (row["ranks"], row["micro_batch"], row["accumulation"]) == (1, 128, 2)
    assert f"{BASE} seed 0: {note}" in shown.getvalue()


def test_an_epoch_is_recorded_as_it_is_reported(study, quiet):
    record = trial_record(BASE)
    recorder = Recorder(study, [record], quiet)
    recorder.started(record.key)
    recorder.reported(record.key, result(2))
    row = study.trials().iloc[0]
    assert (row.status, row.epoch, row.top1, row.seconds) == ("running", 2, 92.0, 4.0)
    assert study.epochs()["epoch"].tolist() == [1, 2]


def test_a_lost_report_is_made_good_by_the_next(study, quiet):
    record = trial_record(BASE)
    recorder = Recorder(study, [record], quiet)
    recorder.reported(record.key, result(1))
    recorder.reported(record.key, result(3))
    assert study.epochs()["epoch"].tolist() == [1, 2, 3]


def test_how_a_trial_ends(study, quiet):
    ends = {"done": {"finished": True}, "stopped": {}, "diverged": {"finished": True, "diverged": True}}
    for seed, (status, changes) in enumerate(ends.items()):
        record = trial_record(BASE, seed)
        Recorder(study, [record], quiet).ended(record.key, result(2, **changes))
        assert [r.status for r in study.records(TrialRecord) if r.seed == seed] == [status]


def test_trials_are_numbered_in_the_order_in_which_they_began(study):
    recorder = Recorder(study, [trial_record(BASE, 0, number=0), trial_record(BASE, 1, number=2)])
    recorder.add(trial_record(BASE, 2))
    assert [record.number for record in recorder.records.values()] == [0, 2, 3]


def test_numbers_that_are_not_finite_become_null(study, quiet):
    record = trial_record(BASE)
    bad = result(1, top1=float("nan"), diverged=True)
    bad["history"][0] |= {"train_loss": float("inf"), "val_loss": float("nan")}
    Recorder(study, [record], quiet).reported(record.key, bad)
    assert study.epochs()[["train_loss", "val_loss", "top1"]].isna().all(axis=None)
    assert study.records(TrialRecord)[0].top1 is None


def test_a_failed_trial_keeps_the_last_line_of_its_traceback(study, quiet):
    record = trial_record(BASE)
    Recorder(study, [record], quiet).failed(record.key, "Traceback\n  line\nValueError: no\n\n")
    assert study.records(TrialRecord)[0].error == "ValueError: no"


@pytest.fixture
def reported(study, quiet):
    """A study with one finished trial, two seeds of one that the paper does not print, and its cost."""
    for placement, seed, top1 in ((BASE, 0, 91.0), (OTHER, 0, 89.0), (OTHER, 1, 88.0)):
        record = trial_record(placement, seed)
        recorder = Recorder(study, [record], quiet)
        recorder.reported(record.key, result(4, finished=True, test_top1=top1))
        recorder.ended(record.key, result(4, finished=True))
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
    Recorder(reported, [record], quiet).started(record.key)
    assert 'http-equiv="refresh"' in make_report(reported).files["report.html"].decode()


def test_names_from_outside_are_text_on_the_page(study):
    study.begin(study.settings() | {"data": {"name": "<b>x</b>", "fingerprint": "0"}})
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


def test_the_command_prints_the_table(study, capsys):
    assert main([study.name, "--results", str(study.folder.parent)]) == 0
    assert "P(better)" in capsys.readouterr().out


@pytest.mark.parametrize("margin", ["0", "-1", "nan", "inf"])
def test_a_margin_is_more_than_nothing(study, capsys, margin):
    assert main([study.name, "--results", str(study.folder.parent), "--margin", margin]) == 2
    assert "expected more than 0" in capsys.readouterr().err


def test_the_command_names_a_study_that_is_not_there(tmp_path, capsys):
    assert main(["nothing", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"results: error: no study 'nothing' in {tmp_path}\n"


def test_a_study_of_an_older_version_asks_to_be_run_again(study, capsys):
    settings = {name: value for name, value in study.settings().items() if name != "report"}
    (study.folder.path / "study.json").write_text(json.dumps(settings))
    assert main([study.name, "--results", str(study.folder.parent)]) == 2
    assert "run its command again" in capsys.readouterr().err
    study.begin(settings | {"report": REPORT})
    assert main([study.name, "--results", str(study.folder.parent)]) == 0


def test_plain_lines_where_there_is_no_terminal():
    out = StringIO()
    records = [trial_record(BASE, seed) for seed in (0, 1)]
    with Progress(records, console=Console(file=out, highlight=False)) as progress:
        progress.update(trial_record(BASE, 0, status="stopped", epoch=2, top1=80.0, seconds=60.0))
    assert out.getvalue().startswith("1/2 trials (1 stopped), about 0:02:00 left")  # four epochs of 30 s
    assert "seed 0: stopped, epoch 2/4  val top-1 80.0 %" in out.getvalue()


def test_trials_that_are_still_to_come_are_counted():
    out, done = StringIO(), trial_record(BASE, 0, status="done", epoch=4, top1=80.0, seconds=40.0)
    with Progress([], 3, Console(file=out, highlight=False)) as progress:
        progress.update(done)
    assert out.getvalue().startswith("1/3 trials, about 0:01:20 left")


def test_a_live_table_on_a_terminal():
    out = StringIO()
    with Progress([trial_record(BASE)], console=Console(file=out, force_terminal=True, width=100)) as progress:
        progress.update(trial_record(BASE, epoch=3, top1=88.8))
    assert "3/4" in out.getvalue()
    assert "88.8" in out.getvalue()
