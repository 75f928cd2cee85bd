"""Blocks of code in the README."""

import re

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()


def code_blocks(language):
    """The README's fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def space_file(word):
    """The README's file with a space of the user's own that holds `word`."""
    return next(block for block in code_blocks("python") if "SPACE = " in block and word in block)
