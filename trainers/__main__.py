"""Without Ray: one trial, `python -m trainers caformer_micro-dwconv-cska-attn-attn --recipe digits`; then
`python -m trainers validate CHECKPOINT --data DIR` and `python -m trainers export CHECKPOINT FOLDER`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from searchspace.candidate import Candidate
from searchspace.user_space import find_space
from storage.folder import Folder
from trainers.recipes import RECIPES

if TYPE_CHECKING:
    from trainers.trial_task import Failure, TrialReport

CHECKPOINT = "results/runs/STUDY/checkpoints/KEY (its newest epoch), an epoch-NNNN folder in it, or an export"
OTHERS = """\
python -m trainers validate --help   top-1 and top-5 of a trained model, in all and for each class
python -m trainers export --help     a trained model as a folder that timm loads, and as ONNX"""


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, 1 if the training diverged, or 2 with one line on wrong input."""
    argv = sys.argv[1:] if argv is None else argv
    commands: dict[str, tuple[Callable[[], argparse.ArgumentParser], Callable[[argparse.Namespace], int]]] = {
        "validate": (_validate_parser, _validate),
        "export": (_export_parser, _export),
    }
    parser, run = commands.get(argv[0] if argv else "", (_train_parser, _train))
    args = parser().parse_args(argv if run is _train else argv[1:])
    try:
        if args.space:
            find_space(args.space)
        return run(args)
    except (ValueError, OSError) as error:
        print(f"trainers: error: {_one_line(error)}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    # A worker process that decodes images sends its traceback along, the error last.
    return lines[-1].partition(": ")[2] if lines[0].startswith("Caught ") else lines[0]


def _parser(name: str, description: str, **kwargs: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name,
        usage=argparse.SUPPRESS,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **kwargs,  # type: ignore[arg-type]
    )
    parser.add_argument("--space", metavar="FILE", help="a Python file of your own that registers token mixers")
    return parser


def _train_parser() -> argparse.ArgumentParser:
    parser = _parser("trainers", "CANDIDATE: train one candidate, without Ray.", epilog=OTHERS)
    parser.add_argument("candidate", help="such as caformer_micro-dwconv-cska-attn-attn")
    parser.add_argument("--recipe", choices=RECIPES, default="digits")
    parser.add_argument("--data", help="as for orchestrate.py; the recipe's own by default")
    parser.add_argument("--init", metavar="WEIGHTS", help="pretrained, or a .safetensors file: as for orchestrate.py")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="end after N epochs of the recipe's schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--ranks", type=_positive, metavar="K", default=1, help="processes, on a GPU each (%(default)s)"
    )
    parser.add_argument(
        "--checkpoints", metavar="DIR", help="save every epoch here, a folder or URI, and go on from here"
    )
    return parser


def _train(args: argparse.Namespace) -> int:
    candidate, recipe = Candidate.parse(args.candidate), RECIPES[args.recipe]
    recipe = recipe if args.epochs is None else recipe.cut(args.epochs)
    if not 0 <= args.seed < 2**32:
        raise ValueError(f"seed {args.seed}, expected 0 to {2**32 - 1}")
    source = recipe.source(args.data)

    from trainers.data.open_dataset import open_dataset
    from trainers.resources import whole_machine
    from trainers.run_trial import run_trial
    from trainers.trial_task import Failure, TrainingSetup, TrialTask
    from trainers.warm_start import warm_start

    weights = None
    if args.init or recipe.mixers_first:
        recipe, weights = warm_start(recipe, args.init)
    setup = TrainingSetup(
        recipe=recipe,
        data=open_dataset(source, recipe),
        resources=whole_machine(args.ranks),
        checkpoints=Folder(args.checkpoints) if args.checkpoints else None,
        weights=weights,
    )
    task = TrialTask(key="", candidate=candidate, seed=args.seed, until=recipe.budget)
    for outcome in run_trial(task, setup):
        if isinstance(outcome, Failure):
            return _explain(outcome)
        print(_line(outcome, recipe.budget), flush=True)
        report = outcome
    if report.diverged:
        print(f"{candidate} diverged at epoch {report.epoch}")
        return 1
    print(f"{candidate}: test top-1 {report.test_top1:.2f} %")
    return 0


def _explain(failure: Failure) -> int:
    """Raise what has one line to say; print the traceback of anything else and return exit code 1."""
    if failure.kind in ("memory", "process died"):
        raise ValueError(f"training cannot go on: {failure.message}")
    if failure.errno is not None:
        raise OSError(failure.errno, failure.message)
    if failure.kind == "input":
        raise ValueError(failure.message)
    print(failure.traceback, end="", file=sys.stderr)
    return 1


def _line(report: TrialReport, budget: int) -> str:
    epoch = report.last
    note = f"{report.note}\n" if report.note else ""
    return (
        f"{note}epoch {epoch.epoch:3}/{budget}  train loss {epoch.train_loss:.4f}  "
        f"val loss {epoch.val_loss:.4f}  val top-1 {epoch.top1:.2f} %  {epoch.seconds:.1f} s"
    )


def _validate_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "trainers validate",
        "validate CHECKPOINT --data DIR: top-1 and top-5 of a trained model, in all and for each class.",
    )
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument("--data", required=True, help="as in training; its test (or val) images are taken")
    parser.add_argument("--img-size", type=_positive, metavar="N", help="pixels, if not those of the training")
    parser.add_argument("--batch-size", type=_positive, metavar="N", default=64)
    parser.add_argument("--workers", type=int, metavar="N", help="processes that decode large data sets; one a CPU")
    parser.add_argument("--device", type=_device, help="cpu, cuda or cuda:N; a GPU if there is one")
    return parser


def _validate(args: argparse.Namespace) -> int:
    import torch

    from trainers.export.validate import validate

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cpu" and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device}, expected one of this machine's {torch.cuda.device_count()} GPUs, or cpu")
    text = validate(
        args.checkpoint,
        args.data,
        img_size=args.img_size,
        batch_size=args.batch_size,
        workers=args.workers,
        device=device,
    )
    print(text)
    return 0


def _export_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "trainers export", "export CHECKPOINT FOLDER: a trained model as a folder that timm loads, and as ONNX."
    )
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument("folder", help="empty or new, or an earlier export, which is replaced")
    parser.add_argument("--onnx", metavar="FILE", help="also as ONNX, checked against the model")
    return parser


def _export(args: argparse.Namespace) -> int:
    from trainers.export.timm_folder import export

    print(*export(args.checkpoint, args.folder, args.onnx), sep="\n")
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}, expected a whole number from 1")
    return int(text)


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text}, expected cpu, cuda or cuda:N")
    return text


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
