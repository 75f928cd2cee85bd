"""What is printed of hostile text."""

import io
import sys

from storage.plain_text import printable, replace_what_cannot_be_printed


def test_escape_sequences_are_spelled_out():
    assert printable("a\x1b[31mred\x07\r") == "a\\x1b[31mred\\x07\\r"


def test_marks_that_turn_the_direction_of_text_are_spelled_out():
    assert printable("a\u202eb") == "a\\u202eb"


def test_a_name_that_is_not_utf_8_is_spelled_out():
    assert printable("caf\udce9") == "caf\\udce9"


def test_letters_lines_and_tabs_stay():
    assert printable("92.3 ± 0.1 %\n\tnaïve 学") == "92.3 ± 0.1 %\n\tnaïve 学"


def test_a_long_message_is_cut_and_says_so():
    shown = printable("x" * 3_000_000)
    assert shown.startswith("xxx")
    assert shown.endswith(" ... (2,998,000 more characters)")
    assert len(shown) < 2100


def test_a_narrow_encoding_prints_replacements(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    replace_what_cannot_be_printed()
    print("92.3 ± 0.1", flush=True)
    assert raw.getvalue().strip() == b"92.3 ? 0.1"
