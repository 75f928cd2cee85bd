"""Which texts may be names of classes, data sets and the like, and how others are shown. No torch here."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

# Control characters (escape sequences begin with one), line and paragraph separators, and what was no UTF-8.
REFUSED_CATEGORIES = ("Cc", "Zl", "Zp", "Cs")


def is_name(text: str) -> bool:
    """Whether a terminal and a UTF-8 file can show `text` in one line.

    Unlike `str.isprintable`, this accepts spaces that do not break and the joiners that Persian and Hindi words need.
    """
    return all(unicodedata.category(character) not in REFUSED_CATEGORIES for character in text)


def displayed(path: Path | str) -> str:
    """The path as UTF-8 text; bytes of it that are none are written as `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")
