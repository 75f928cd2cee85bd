"""A user's file is executed once in the process that reads it, and once in each process that is told of it."""

import re
import subprocess
import sys

import pytest

from searchspace import user_space
from searchspace.paper_spaces import PLACEMENT
from searchspace.switches import MIXERS
from searchspace.user_space import VARIABLE, find_space, fingerprint, load_from_environment, load_space
from tests.support.user_mixers import mixers_forgotten

# A mixer without a class can be parsed but not built, and so it needs no torch.
FILE = """
from pathlib import Path
from searchspace.spaces import SearchSpace
from searchspace.switches import MIXERS

MIXERS["pool"] = {}
with Path(__file__).with_name("executions").open("a") as log:
    log.write("x")
SPACE = SearchSpace("mine", choices=(("dwconv", "pool"), ("pool",), ("attn",), ("attn",)))
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that registers a mixer and counts how often it is executed; nothing of it is left after the test."""
    monkeypatch.setenv(VARIABLE, "")
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    with mixers_forgotten():
        yield path


def executions(file):
    log = file.with_name("executions")
    return len(log.read_text()) if log.exists() else 0


def test_a_space_of_the_paper_is_found_by_its_name(file):
    assert find_space("placement") is PLACEMENT


def test_an_unknown_name_is_refused(file):
    with pytest.raises(
        ValueError, match="unknown space 'place', expected placement, heads, design, joint, ska_readings or a Python"
    ):
        find_space("place")


def test_a_file_that_is_missing_is_refused(file):
    with pytest.raises(FileNotFoundError):
        find_space("missing.py")


def test_a_file_gives_its_space_and_registers_its_mixers(file):
    assert len(find_space(str(file))) == 2
    assert "pool" in MIXERS


def test_a_process_executes_a_file_once(file):
    space = find_space(str(file))
    load_from_environment()
    assert load_space(file) is space
    assert executions(file) == 1


def test_another_process_executes_the_file_when_it_asks(file, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(file))
    code = "from searchspace.candidate import Stage; from searchspace.user_space import load_from_environment; "
    command = [sys.executable, "-c", f"{code} load_from_environment(); print(Stage.parse('pool'))"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "pool\n"
    assert executions(file) == 1


def test_importing_executes_no_file(file, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(file))
    subprocess.run([sys.executable, "-c", "import searchspace.user_space, searchspace.encoding"], check=True)
    assert executions(file) == 0


def test_without_a_file_nothing_is_loaded(file, monkeypatch):
    loaded = []
    monkeypatch.setattr(user_space, "load_space", loaded.append)
    load_from_environment()
    assert loaded == []


def test_a_space_of_the_paper_ends_the_use_of_a_file(file):
    find_space(str(file))
    find_space("placement")
    assert fingerprint() is None


def test_the_fingerprint_is_that_of_the_text(file, tmp_path):
    find_space(str(file))
    first = fingerprint()
    changed = tmp_path / "changed.py"
    changed.write_text(FILE + "# changed")
    find_space(str(changed))
    assert re.fullmatch("[0-9a-f]{8}", first)
    assert fingerprint() != first


def test_the_fingerprint_stays_that_of_the_text_that_was_executed(file):
    find_space(str(file))
    before = fingerprint()
    file.write_text(FILE + "# edited while trials run")
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "mine.py defines SPACE = None, expected a SearchSpace"),
        ("x =", "mine.py: SyntaxError: "),
        ("import sys; sys.exit('bye')", "mine.py: SystemExit: bye"),
        ("1 / 0", "mine.py: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_defines_no_space_is_refused_in_one_line(file, text, wanted):
    file.write_text(text)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        load_space(file)
    assert wanted in str(error.value)
