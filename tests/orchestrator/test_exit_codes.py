import errno

import pytest

from orchestrator.exit_codes import describe, exit_code
from storage.owner import StudyBusyError
from storage.write_error import WriteError

FULL = WriteError(errno.ENOSPC, "no room")
UNREADABLE = OSError(errno.EIO, "an image")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StudyBusyError("busy"), 4),
        (FULL, 3),
        (UNREADABLE, 2),
        (FileNotFoundError(errno.ENOENT, "gone"), 2),
        (ValueError("wrong"), 2),
    ],
)
def test_each_kind_of_error_has_its_code(error, code):
    assert exit_code(error) == code


def test_a_mistake_of_ours_is_raised_again():
    with pytest.raises(KeyError):
        exit_code(KeyError("x"))


def test_an_error_is_one_line():
    assert describe(ValueError("wrong\nand more")) == "orchestrate.py: error: wrong"


def test_an_error_without_words_is_its_name():
    assert describe(ValueError()) == "orchestrate.py: error: ValueError"


def test_a_busy_study_is_no_error():
    assert describe(StudyBusyError("study 's' is being run")) == "orchestrate.py: study 's' is being run"


def test_escape_sequences_of_a_message_do_not_reach_the_terminal():
    assert describe(ValueError("a\x1b[2Jb")) == "orchestrate.py: error: a\\x1b[2Jb"


def test_a_message_of_megabytes_is_cut():
    assert len(describe(ValueError("x" * 3_000_000))) < 2100
