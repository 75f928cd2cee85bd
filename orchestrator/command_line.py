"""The options of `orchestrate.py`. It imports names only, so that --help and a wrong option answer at once."""

from __future__ import annotations

import argparse

from schedulers import RULE_NAMES, SAMPLER_NAMES
from searchspace.paper_spaces import SPACES
from storage.plain_text import replace_what_cannot_be_printed
from trainers.recipes import RECIPES


def make_parser() -> argparse.ArgumentParser:
    """The parser of all options, in the groups in which --help shows them."""
    description = (
        "Which token mixer belongs in which stage? `python orchestrate.py --space placement` trains the placements of "
        "Table 5 on scikit-learn's digits and stores every result in Parquet. Run the same command again to train what "
        "is missing."
    )
    parser = argparse.ArgumentParser(prog="orchestrate.py", description=description, usage=argparse.SUPPRESS)
    _add_study_options(parser)
    _add_search_options(parser)
    _add_machine_options(parser)
    return parser


def parse_own_arguments() -> argparse.Namespace:
    """The arguments of this process; from now on it prints a replacement for what the terminal's encoding lacks."""
    replace_what_cannot_be_printed()
    return make_parser().parse_args()


def _add_study_options(parser: argparse.ArgumentParser) -> None:
    """What is trained, on which data, and where its results are stored."""
    add = parser.add_argument
    names = ", ".join(SPACES)
    add("--space", required=True, metavar="NAME", help=f"search space: {names}, or a Python file of your own")
    add("--recipe", choices=RECIPES, default="digits", help="training recipe (%(default)s)")
    add("--data", help="folder of class folders, folder of Parquet files, or torch/<name>:<root> to download")
    add("--init", metavar="WEIGHTS", help="start from timm's weights (pretrained) or from a .safetensors file")
    add("--study", help="name of the study (default: the space, and the recipe unless that is digits)")
    where = "folder of all studies, or a URI such as s3://bucket/prefix (%(default)s)"
    add("--results", "--storage", default="results/runs", metavar="DIR", help=where)
    add("--reuse", action="store_true", help="import equal trials that other studies have trained")
    add("--epochs", type=int, metavar="N", help="end every trial after N epochs of the recipe's schedule")
    averaged = "also evaluate an exponential moving average of the weights, of this decay a step, such as 0.9998"
    add("--ema", type=float, metavar="DECAY", help=averaged)


def _add_search_options(parser: argparse.ArgumentParser) -> None:
    """Which candidates and seeds are trained, and for how long."""
    add = parser.add_argument
    add("--seeds", type=int, default=1, metavar="K", help="seeds per candidate (%(default)s)")
    add("--trials", type=int, default=0, metavar="N", help="candidates to propose beyond the published (%(default)s)")
    add("--sampler", choices=SAMPLER_NAMES, default="gp", help="how candidates are proposed (%(default)s)")
    objective = "top1, or a Pareto front: top1,flops or top1,params (%(default)s)"
    add("--objective", default="top1", metavar="WHAT", help=objective)
    add("--stopping", choices=RULE_NAMES, default="asha", help="rule that promotes trials at rungs (%(default)s)")
    add("--race", type=float, metavar="P", help="find the best candidate at this confidence, such as 0.95")
    add("--budget", metavar="AMOUNT", help="end the search after, for example, 12h, 300epochs or 40trials")
    add("--keep-published", action="store_true", help="train published rows to the end, also those that will lose")


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Which machines train, and what is shown of it."""
    add = parser.add_argument
    add("--gpus-per-trial", type=float, metavar="G", help="may be a fraction (default: 1 if there are GPUs)")
    add("--cpus-per-trial", type=int, metavar="C", help="also CPU threads (default: 1, or the CPUs per GPU)")
    add("--hang-after", type=float, metavar="MINUTES", help="restart a trial that reports no epoch for this long, once")
    add("--address", help="address of a running Ray cluster (default: start Ray on this machine)")
    add("--dashboard", action="store_true", help="start Ray's dashboard on this machine and print its address")
    add("--list", action="store_true", help="print candidates, counts and costs, and train nothing")
