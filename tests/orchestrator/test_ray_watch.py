"""What happens when Ray itself dies; Ray is not started here."""

import io
import os
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from orchestrator import ray_watch
from orchestrator.interrupts import Interrupts
from orchestrator.ray_watch import RayWatch, SilentServer, end_command, find_dead_process, start_again
from tests.support.paths import ROOT


class EndedError(Exception):
    """Raised in place of ending or replacing the process of the tests."""


@pytest.fixture
def life(monkeypatch):
    """Records the programs that this process would execute; ending it raises EndedError with the exit code."""
    executed = []

    def end(code):
        raise EndedError(code)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(Interrupts, "last_signal", 0)
    monkeypatch.setattr("orchestrator.orphan_reaper.descendants_of", lambda driver: set())  # those of the tests
    monkeypatch.setattr("os.execv", lambda program, arguments: executed.append(arguments))
    monkeypatch.setattr(sys, "orig_argv", ["python", "orchestrate.py", "--space", "placement"])
    monkeypatch.setenv("STUDY_DRIVER", "a mark that no process has")
    monkeypatch.delenv("STUDY_RESTARTS", raising=False)
    return executed


def test_a_death_is_found_and_passed_on_once():
    deaths = iter([None, "Ray's raylet died"])
    found = []
    over = threading.Event()

    def on_death(death, life_seconds):
        found.append(death)
        over.set()

    with RayWatch(lambda: next(deaths), on_death, interval_seconds=0.01):
        assert over.wait(5)
    assert found == ["Ray's raylet died"]


def test_the_same_command_begins_again(life, capsys, tmp_path):
    start_again("Ray's raylet died", 3600.0, session=tmp_path)
    assert life == [[sys.executable, "orchestrate.py", "--space", "placement"]]
    assert not tmp_path.exists()
    assert capsys.readouterr().err.strip() == (
        "orchestrate.py: Ray's raylet died: Ray is started again, and training goes on from the last complete epochs"
    )


def test_the_command_ends_when_ray_dies_soon_for_the_fourth_time(life, tmp_path):
    for _ in range(3):
        start_again("Ray's raylet died", 5.0, session=tmp_path)
    with pytest.raises(EndedError, match="1"):
        start_again("Ray's raylet died", 5.0, session=tmp_path)
    assert len(life) == 3


def test_a_long_life_makes_earlier_deaths_forgotten(life, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_RESTARTS", "3")
    start_again("Ray's raylet died", 3600.0, session=tmp_path)
    assert os.environ["STUDY_RESTARTS"] == "1"


def test_an_interrupted_command_ends_with_the_code_of_its_signal(life, monkeypatch, tmp_path):
    monkeypatch.setattr(Interrupts, "last_signal", 2)
    with pytest.raises(EndedError, match="130"):
        start_again("Ray's raylet died", 3600.0, session=tmp_path)
    assert life == []


def test_a_signal_while_the_old_ray_is_cleaned_away_ends_the_command(life, monkeypatch, tmp_path):
    monkeypatch.setattr(Interrupts, "last_signal", 0)
    monkeypatch.setattr(ray_watch.orphan_reaper, "kill_marked_processes", lambda mark: _interrupt())
    with pytest.raises(EndedError, match="143"):
        start_again("Ray's raylet died", 3600.0, session=tmp_path)
    assert life == []


def _interrupt():
    Interrupts.last_signal = 15


def test_the_new_ray_does_not_inherit_the_token(life, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the dead Ray")
    (tmp_path / "token").write_text("of the dead Ray")
    start_again("Ray's raylet died", 3600.0, session=tmp_path)
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_what_was_printed_is_written_before_the_program_is_replaced(life, monkeypatch, tmp_path):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file))
    print("dashboard: somewhere")
    start_again("Ray's raylet died", 3600.0, session=tmp_path)
    assert file.getvalue() == b"dashboard: somewhere\n"


def test_the_line_says_that_the_same_command_goes_on(life, capsys):
    with pytest.raises(EndedError, match="1"):
        end_command("the Ray cluster at h:1 no longer answers", 5.0)
    assert "run the same command again to continue" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "found"), [("raylet", "Ray's raylet died (exit code -9)"), ("log_monitor", None)])
def test_only_processes_that_ray_cannot_do_without_count(monkeypatch, kind, found):
    process = SimpleNamespace(returncode=-9)
    node = SimpleNamespace(dead_processes=lambda: [(kind, process)])
    monkeypatch.setattr(ray_watch.ray._private.worker, "_global_node", node)
    assert find_dead_process() == found


def test_a_server_that_refuses_once_is_not_dead():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        watched = SilentServer(address, max_refusals=2)
        assert watched.find_death() is None
    assert watched.find_death() is None
    assert watched.find_death() == f"the Ray cluster at {address} no longer answers"


def test_a_process_that_executes_another_program_may_take_its_own_lease():
    code = (
        "import time; from storage.lease import LeaseContent; from storage.owner import Owner, PROGRAM_START\n"
        "from dataclasses import asdict\n"
        "for beat in (PROGRAM_START - 1, PROGRAM_START + 1):\n"
        "    print(LeaseContent(**asdict(Owner.this_process()), token='t', beat=beat).is_valid())"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output.split() == ["False", "True"]
