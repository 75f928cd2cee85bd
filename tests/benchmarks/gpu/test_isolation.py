"""A part that fails, hangs or dies is reported, and the next one runs."""

import os
import re
import time

import pytest

from benchmarks.gpu.__main__ import all_parts, main, run_parts
from benchmarks.gpu.isolation import Part, run_part
from benchmarks.gpu.outcomes import CheckFailedError, Found, Measurement
from benchmarks.gpu.scale import ON_GPU


def fine():
    return Found("fine", (Measurement(what="SKA", variant="ours", images_per_second=1234.5, peak_memory=2 * 10**9),))


def wrong():
    raise CheckFailedError("3 found, expected 4")


def broken():
    raise RuntimeError("an illegal memory access\nand more")


def hanging():
    time.sleep(60)


def dying():
    os._exit(7)


def part(run, limit=20.0):
    return Part(group="correctness", name=run.__name__, run=run, limit=limit)


@pytest.mark.parametrize(
    ("run", "limit", "status", "detail"),
    [
        (fine, 20, "passed", "fine"),
        (wrong, 20, "failed", "3 found, expected 4"),
        (broken, 20, "failed", "RuntimeError: an illegal memory access"),
        (hanging, 0.1, "out of time", "ended after 0 s"),
        (dying, 20, "died", "its process ended with code 7"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_part_ends_in_a_word_for_what_happened(run, limit, status, detail):
    outcome = run_part(part(run, limit), remaining=60, start_method="fork")
    assert (outcome.status, outcome.found.detail) == (status, detail)


def test_where_no_time_remains_a_part_is_not_begun():
    assert run_part(part(dying), remaining=0, start_method="fork").status == "out of time"


def test_the_page_says_what_failed_and_what_was_measured(tmp_path, capsys):
    parts = [part(wrong), part(fine)]
    assert run_parts(parts, tmp_path, {"device": "a card"}, start="fork") == 1
    page = (tmp_path / "gpu.md").read_text()
    assert page in capsys.readouterr().out
    assert "1 of 2 parts passed" in page
    assert "- **wrong** failed: 3 found, expected 4" in page
    assert re.search(r"SKA +\| ours +\| +1,234 +\| 2\.00 GB", page)


def test_where_all_pass_the_exit_code_is_0(tmp_path):
    assert run_parts([part(fine)], tmp_path, {"device": "a card"}, start="fork") == 0
    assert {file.name for file in tmp_path.iterdir()} == {"gpu.md", "parts.parquet", "speeds.parquet"}


def test_limits_of_correctness_and_eager_speed_leave_time_for_the_rest(tmp_path):
    parts = all_parts(ON_GPU, ON_GPU, data="digits", out=tmp_path)
    assert len({each.name for each in parts}) == len(parts)
    assert {each.group for each in parts} == {"correctness", "speed", "study"}


def test_without_a_gpu_it_says_so_and_ends(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([]) == 2
    assert capsys.readouterr().err == "no GPU: torch sees no CUDA device, expected one\n"
