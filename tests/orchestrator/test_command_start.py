import os
import time

import pytest

from orchestrator.command_start import VARIABLE, remember_start, start_time


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop(VARIABLE, None)


def test_a_program_that_replaces_another_keeps_its_start(monkeypatch):
    remember_start()
    began = start_time()
    monkeypatch.setattr(time, "monotonic", lambda: began + 3600)
    remember_start()
    assert start_time() == began


def test_who_remembers_no_start_starts_now(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 17.0)
    assert start_time() == 17.0
