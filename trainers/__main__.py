"""One trial without Ray: `python -m trainers caformer_micro-dwconv-cska-attn-attn --recipe digits`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from searchspace.candidate import Candidate
from searchspace.own import find_space
from trainers.recipes import RECIPES


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, 1 if the training diverged, or 2 with one line on wrong input."""
    parser = argparse.ArgumentParser(
        prog="trainers", usage=argparse.SUPPRESS, description="Train one candidate, without Ray."
    )
    parser.add_argument("candidate", help="such as caformer_micro-dwconv-cska-attn-attn")
    parser.add_argument("--recipe", choices=RECIPES, default="digits")
    parser.add_argument("--data", help="as for orchestrate.py; the recipe's own by default")
    parser.add_argument("--space", metavar="FILE", help="a Python file of your own that registers token mixers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help="save every epoch here, and go on from here")
    args = parser.parse_args(argv)
    try:
        return _train(args)
    except (ValueError, OSError) as error:
        print(f"trainers: error: {(str(error) or type(error).__name__).splitlines()[0]}", file=sys.stderr)
        return 2


def _train(args: argparse.Namespace) -> int:
    if args.space:
        find_space(args.space)
    candidate, recipe = Candidate.parse(args.candidate), RECIPES[args.recipe]
    if not 0 <= args.seed < 2**32:
        raise ValueError(f"seed {args.seed}, expected 0 to {2**32 - 1}")
    source = recipe.source(args.data)

    from trainers.data import load
    from trainers.training import Trainer

    trainer = Trainer(candidate, recipe, load(source, recipe.img_size), args.seed, args.checkpoints)
    for epoch in trainer.epochs():
        print(
            f"epoch {epoch.epoch:3}/{recipe.budget}  train loss {epoch.train_loss:.4f}  "
            f"val loss {epoch.val_loss:.4f}  val top-1 {epoch.top1:.2f} %  {epoch.seconds:.1f} s",
            flush=True,
        )
    if trainer.history[-1].diverged:
        print(f"{candidate} diverged at epoch {len(trainer.history)}")
        return 1
    print(f"{candidate}: test top-1 {trainer.test():.2f} %")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
