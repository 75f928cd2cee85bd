import xml.etree.ElementTree as ET
from io import StringIO

import pandas as pd
from conftest import trial_record
from rich.console import Console

from results.__main__ import main
from results.figures import learning_curves
from results.progress import Progress
from results.recorder import Recorder
from results.report import write_report

BASE = "dwconv-dwconv-attn-attn"


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
        **changes,
    }


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
        assert [r.status for r in study.records("trials") if r.seed == seed] == [status]


def test_numbers_that_are_not_finite_become_null(study, quiet):
    record = trial_record(BASE)
    bad = result(1, top1=float("nan"), diverged=True)
    bad["history"][0] |= {"train_loss": float("inf"), "val_loss": float("nan")}
    Recorder(study, [record], quiet).reported(record.key, bad)
    assert study.epochs()[["train_loss", "val_loss", "top1"]].isna().all(axis=None)
    assert study.records("trials")[0].top1 is None


def test_a_failed_trial_keeps_the_last_line_of_its_traceback(study, quiet):
    record = trial_record(BASE)
    Recorder(study, [record], quiet).failed(record.key, "Traceback\n  line\nValueError: no\n\n")
    assert study.records("trials")[0].error == "ValueError: no"


def test_learning_curves_average_seeds():
    trials = pd.DataFrame([vars(trial_record(BASE, seed)) for seed in (0, 1)])
    epochs = pd.DataFrame({"key": [f"{BASE}-0", f"{BASE}-1"], "epoch": [1, 1], "top1": [90.0, 94.0]})
    points = learning_curves(trials, epochs, published=[BASE])
    where = {"placement": BASE, "published": True, "epoch": 1}
    assert points.to_dict("records") == [{**where, "mean": 92.0, "low": 90.0, "high": 94.0, "seeds": 2}]


def test_a_learning_curve_ends_with_the_first_of_its_seeds():
    trials = pd.DataFrame({"key": ["a", "b"], "placement": BASE})
    epochs = pd.DataFrame({"key": ["a", "a", "b"], "epoch": [1, 2, 1], "top1": [50.0, 99.0, 40.0]})
    assert learning_curves(trials, epochs, published=[BASE])["epoch"].tolist() == [1]


def test_published_learning_curves_come_first_and_in_their_order():
    placements = ["a", "b", "c"]
    trials = pd.DataFrame({"key": placements, "placement": placements})
    epochs = pd.DataFrame({"key": placements, "epoch": 1, "top1": 50.0})
    points = learning_curves(trials, epochs, published=["c", "b"])
    assert points["placement"].tolist() == ["c", "b", "a"]
    assert points["published"].tolist() == [True, True, False]


def test_a_report_has_tables_and_figures_that_open(study, quiet):
    record = trial_record(BASE)
    recorder = Recorder(study, [record], quiet)
    recorder.reported(record.key, result(4, finished=True, test_top1=91.0))
    recorder.ended(record.key, result(4, finished=True))
    markdown, files = write_report(study)
    assert "91.0" in markdown
    names = ["table5.parquet", "table5.md", "table5.tex", "learning_curves.svg", "learning_curves.png"]
    assert [file.name for file in files] == names
    assert pd.read_parquet(files[0])["test_top1"].max() == 91.0
    assert ET.parse(files[3]).getroot().tag.endswith("svg")  # noqa: S314
    assert files[4].read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_the_table(study, capsys):
    assert main([study.name, "--results", str(study.folder.parent)]) == 0
    assert "paper top-1" in capsys.readouterr().out


def test_the_command_names_a_study_that_is_not_there(tmp_path, capsys):
    assert main(["nothing", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"results: error: no study 'nothing' in {tmp_path}\n"


def test_plain_lines_where_there_is_no_terminal():
    out = StringIO()
    records = [trial_record(BASE, seed) for seed in (0, 1)]
    with Progress(records, Console(file=out, highlight=False)) as progress:
        progress.update(trial_record(BASE, 0, status="stopped", epoch=2, top1=80.0, seconds=60.0))
    assert out.getvalue().startswith("1/2 trials (1 stopped), about 0:02:00 left")  # four epochs of 30 s
    assert "seed 0: stopped, epoch 2/4  val top-1 80.0 %" in out.getvalue()


def test_a_live_table_on_a_terminal():
    out = StringIO()
    with Progress([trial_record(BASE)], Console(file=out, force_terminal=True, width=100)) as progress:
        progress.update(trial_record(BASE, epoch=3, top1=88.8))
    assert "3/4" in out.getvalue()
    assert "88.8" in out.getvalue()
