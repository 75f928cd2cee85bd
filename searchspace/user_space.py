"""Spaces and token mixers of users: one Python file, executed once in each process that parses or builds candidates.

`find_space` executes it in the process of the command. It leaves the file's path in the environment, which the
processes of trials inherit; each of them calls `load_from_environment` before it does anything else.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from searchspace.paper_spaces import SPACES
from searchspace.spaces import SearchSpace

VARIABLE = "SEARCHSPACE_FILE"  # in the environment: the path of the file


def find_space(name: str) -> SearchSpace:
    """The paper's space of that name or, if `name` is a Python file, its SPACE.

    The file's path is left in the environment for processes that are started later. ValueError or OSError, in one line,
    if there is no such space.
    """
    os.environ.pop(VARIABLE, None)
    if not name.endswith(".py"):
        if name not in SPACES:
            known = ", ".join(SPACES)
            raise ValueError(f"unknown space {name!r}, expected {known} or a Python file of your own")
        return SPACES[name]
    file = Path(name).resolve()
    space = load_space(file)
    os.environ[VARIABLE] = str(file)
    return space


def load_from_environment() -> None:
    """Execute the file that SEARCHSPACE_FILE names, if it names one, unless this process has done so already.

    Whoever starts work in a new process calls this before a candidate is parsed or built. OSError or ValueError if the
    file cannot be executed.
    """
    file = os.environ.get(VARIABLE)
    if file:
        load_space(Path(file).resolve())


@cache
def load_space(file: Path) -> SearchSpace:
    """Execute `file`, which registers its token mixers, and return its SPACE. A process executes a file only once.

    OSError if it cannot be read, ValueError if it raises an error or defines no SearchSpace.
    """
    _digest(file)  # of the text that is executed now, for the fingerprint
    spec = spec_from_file_location("user_space_file", file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except OSError:
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"{file.name}: {type(error).__name__}: {error}") from error
    space = getattr(module, "SPACE", None)
    if not isinstance(space, SearchSpace):
        raise ValueError(f"{file.name} defines SPACE = {space!r}, expected a SearchSpace")
    return space


def fingerprint() -> str | None:
    """Eight hexadecimal digits that change with the contents of the user's file, or None if none is in use.

    They stay what they were when this process first asked, as the file that it has executed does.
    """
    file = os.environ.get(VARIABLE)
    if not file:
        return None
    return _digest(Path(file).resolve())


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:8]
