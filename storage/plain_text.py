"""Text for terminals: what files, names and exceptions hold is made harmless and short before it is printed."""

from __future__ import annotations

import sys
from io import TextIOWrapper

LONGEST_LINE = 2000  # characters; an exception may bring megabytes along


def printable(text: str, longest: int = LONGEST_LINE) -> str:
    """The text, cut to `longest` characters, with control characters and escape sequences spelled out, such as \\x1b.

    Newlines and tabs stay.
    """
    shown = []
    for character in text[:longest]:
        harmless = character in "\n\t" or character.isprintable()
        shown.append(character if harmless else character.encode("unicode_escape").decode())
    more = len(text) - longest
    if more > 0:
        shown.append(f" ... ({more:,} more characters)")
    return "".join(shown)


def replace_what_cannot_be_printed() -> None:
    """Let both outputs print a replacement for characters that their encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a test or a notebook may have put something else there
            stream.reconfigure(errors="replace")
