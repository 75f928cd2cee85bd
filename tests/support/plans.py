"""Plans of command lines, and a space of a user's own."""

from pathlib import Path

from orchestrator.command_line import make_parser
from orchestrator.make_plan import make_plan
from orchestrator.plan import StudyPlan

OWN_SPACE = """
from searchspace.spaces import SearchSpace
from trainers.version import commit
SPACE = SearchSpace("mine", choices=(("dwconv",), ("ska", "cska"), ("attn",), ("attn",)))
"""


def plan_for(*arguments: str | Path, space: str | Path = "placement") -> StudyPlan:
    """The plan that the command line `--space SPACE ARGUMENTS` makes."""
    return make_plan(make_parser().parse_args(["--space", str(space), *map(str, arguments)]))


def write_space(folder: Path, text: str = OWN_SPACE) -> Path:
    """A file with a space of a user's own."""
    file = folder / "mine.py"
    file.write_text(text)
    return file
