"""The options of `orchestrate.py`."""

import re
import shlex
import subprocess
import sys

import pytest

from orchestrator.command_line import make_parser
from tests.support.paths import ROOT


def test_only_the_space_is_required():
    args = make_parser().parse_args(["--space", "placement"])
    assert (args.recipe, args.seeds, args.trials, args.results) == ("digits", 1, 0, "results/runs")


def test_results_and_storage_are_one_option():
    assert make_parser().parse_args(["--space", "s", "--storage", "s3://b"]).results == "s3://b"


def test_the_defaults_are_in_the_help():
    text = " ".join(make_parser().format_help().split())
    assert "training recipe (digits)" in text
    assert "rule that promotes trials at rungs (asha)" in text


def test_help_loads_nothing_heavy():
    """That is why it answers at once."""
    code = "import sys, orchestrate\ntry: orchestrate.main(['--help'])\nfinally: print('loaded:', *sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = run.stdout.rpartition("loaded:")[2].split()
    assert "argparse" in loaded
    assert not {"torch", "timm", "ray", "optuna", "numpy", "pandas", "pyarrow", "scipy"} & set(loaded)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_commands_of_the_pages_are_understood(page):
    for command in re.findall(r"orchestrate\.py( --space[^#'&`|)\n]*)", page.read_text()):
        assert make_parser().parse_args(shlex.split(command)).space


def test_the_page_on_clusters_has_commands():
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert len(re.findall(r"orchestrate\.py --", page)) >= 7
