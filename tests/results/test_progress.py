from io import StringIO

from rich.console import Console

from results.progress import Progress
from tests.support.studies import trial_record

BASE = "dwconv-dwconv-attn-attn"


def test_plain_lines_where_there_is_no_terminal():
    out = StringIO()
    records = [trial_record(BASE, seed) for seed in (0, 1)]
    with Progress(records, console=Console(file=out, highlight=False)) as progress:
        progress.update(trial_record(BASE, 0, status="paused", epoch=2, top1=80.0, seconds=60.0))
    assert out.getvalue().startswith("1/2 trials (1 paused), about 0:02:00 left")  # four epochs of 30 s
    assert "seed 0: paused, epoch 2/4  val top-1 80.0 %" in out.getvalue()


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
