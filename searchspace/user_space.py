"""A space and token mixers of one's own: one Python file, executed once in each process that builds candidates."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from searchspace.spaces import SPACES, SearchSpace

VARIABLE = "SEARCHSPACE_FILE"  # in the environment: how the processes of trials hear of the file


def find_space(name: str) -> SearchSpace:
    """The space of that name, or the SPACE of that Python file. ValueError or OSError in one line if there is none."""
    os.environ.pop(VARIABLE, None)
    if not name.endswith(".py"):
        if name not in SPACES:
            raise ValueError(f"unknown space {name!r}, expected {', '.join(SPACES)} or a Python file of your own")
        return SPACES[name]
    file = Path(name).resolve()
    space = load(file)
    os.environ[VARIABLE] = str(file)
    return space


@cache
def load(file: Path) -> SearchSpace:
    """Execute `file`, which registers its token mixers, and give its SPACE."""
    spec = spec_from_file_location("own_space", file)
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
    """Eight hexadecimal digits that change with the file in use; None if none is."""
    if not (file := os.environ.get(VARIABLE)):
        return None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]
