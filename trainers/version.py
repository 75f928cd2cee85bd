"""Which code this is: a fingerprint of the modules that decide what a trial trains, and the commit."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from functools import cache
from pathlib import Path

from searchspace import user_space

ROOT = Path(__file__).parents[1]
SNAPSHOT_FILE = "SNAPSHOT"  # in a copy of the code: the commit and the fingerprint of what was copied


def code() -> str:
    """Eight hexadecimal digits that change with any statement that trains, or with the user's own space file.

    Comments, docstrings and layout are left out, so that rewording them lets running studies go on.
    """
    user_file = user_space.fingerprint() or ""
    return hashlib.sha256(f"{_statements_digest(ROOT)}{user_file}".encode()).hexdigest()[:8]


def describe_snapshot(folder: Path) -> str:
    """The content of SNAPSHOT_FILE for a copy of the code in `folder`: the commit, and a digest of its statements."""
    return f"{commit()}\n{_statements_digest(folder)}\n"


@cache
def _statements_digest(root: Path) -> str:
    """A digest of the statements of all modules that decide what a trial trains, with the modules' names."""
    if (root / SNAPSHOT_FILE).exists():
        return (root / SNAPSHOT_FILE).read_text().splitlines()[1]
    lines = []
    for file in sorted([*(root / "searchspace").rglob("*.py"), *(root / "trainers").rglob("*.py")]):
        name = file.relative_to(root).as_posix()
        if not name.startswith(("trainers/__main__.py", "trainers/export/")):  # those use what was trained
            lines.append(f"{name} {statements(file.read_text())}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def statements(source: str) -> str:
    """The syntax tree of Python source as text, without docstrings. Comments and layout are in no syntax tree."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return _describe(tree)


def _describe(node: object) -> str:
    """A syntax tree as text. Unlike `ast.dump`, it leaves out empty fields, which differ between versions of Python."""
    if isinstance(node, list):
        return f"[{', '.join(_describe(child) for child in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        f"{name}={_describe(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []
    ]
    return f"{type(node).__name__}({', '.join(fields)})"


@cache
def commit() -> str:
    """The commit of this code, with + if it has local changes; empty outside a repository."""
    if (ROOT / SNAPSHOT_FILE).exists():
        return (ROOT / SNAPSHOT_FILE).read_text().splitlines()[0]
    git = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # git is not installed
        return ""
