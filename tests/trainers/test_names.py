import os

import pytest

from trainers.names import displayed, is_name

PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # with a zero-width non-joiner, as it is spelled


@pytest.mark.parametrize("text", ["", "great white shark", "a\u00a0b", PERSIAN, "\U0001f469\u200d\U0001f52c"])
def test_unbreakable_spaces_and_joiners_belong_to_names(text):
    assert is_name(text)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "tab\t", "c1\x9b", "a\u2028b", os.fsdecode(b"\xff"), "\x00"])
def test_control_characters_and_broken_utf_8_do_not(text):
    assert not is_name(text)


def test_what_is_no_utf_8_is_shown_as_bytes():
    assert displayed(os.fsdecode("é".encode() + b"\xff.png")) == "é\\xff.png"
