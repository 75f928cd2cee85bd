"""Trains, evaluates or exports one model without Ray. Commands that work:

python -m trainers caformer_micro-dwconv-cska-attn-attn --recipe digits
python -m trainers validate CHECKPOINT --data DIR
python -m trainers export CHECKPOINT FOLDER
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from searchspace.candidate import Candidate
from searchspace.user_space import find_space, load_from_environment
from storage.folder import Folder
from storage.plain_text import printable, replace_what_cannot_be_printed
from trainers.recipes import RECIPES

if TYPE_CHECKING:
    from trainers.trial_task import Failure, TrainingSetup, TrialReport, TrialTask


def main(argv: list[str] | None = None) -> int:
    """Runs a command. Returns 0; 1 if training diverged or crashed; 2 after one line about wrong input."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] not in ("train", "validate", "export"):
        arguments = ["train", *arguments]
    args = _parser().parse_args(arguments)
    try:
        if args.space:
            find_space(args.space)
        else:
            load_from_environment()
        return args.run(args)
    except (ValueError, OSError) as error:
        print(printable(f"trainers: error: {_one_line(error)}"), file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trainers")
    commands = parser.add_subparsers(required=True)
    _add_train(commands)
    _add_validate(commands)
    _add_export(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "train",
        prog="trainers",
        usage=argparse.SUPPRESS,
        description="CANDIDATE: train one candidate, without Ray.",
        epilog=(
            "python -m trainers validate --help   top-1 and top-5 of a trained model, per class and over all\n"
            "python -m trainers export --help     a trained model as a folder that timm loads, and as ONNX"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("candidate", help="for example caformer_micro-dwconv-cska-attn-attn")
    parser.add_argument("--recipe", choices=RECIPES, default="digits")
    parser.add_argument("--data", help="as for orchestrate.py; by default the recipe's own data set")
    parser.add_argument(
        "--init", metavar="WEIGHTS", help="initial weights: pretrained, or a .safetensors file, as for orchestrate.py"
    )
    parser.add_argument("--epochs", type=_positive, metavar="N", help="stop after N epochs of the recipe's schedule")
    parser.add_argument(
        "--ema",
        type=float,
        metavar="DECAY",
        help="also evaluate a moving average of the weights, as for orchestrate.py",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--ranks", type=_positive, metavar="K", default=1, help="processes, each on its own GPU (%(default)s)"
    )
    parser.add_argument(
        "--checkpoints", metavar="DIR", help="save every epoch in this folder or URI, and resume from it"
    )
    _add_space(parser)
    parser.set_defaults(run=_train)


def _add_validate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "validate",
        prog="trainers validate",
        usage=argparse.SUPPRESS,
        description="validate CHECKPOINT --data DIR: top-1 and top-5 of a trained model, per class and over all.",
    )
    _add_checkpoint(parser)
    parser.add_argument("--data", required=True, help="a data set, named as in training; its test images are used")
    parser.add_argument("--img-size", type=_positive, metavar="N", help="pixels; by default the size of the training")
    parser.add_argument("--batch-size", type=_positive, metavar="N", default=64, help="images (%(default)s)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that decode streamed images; by default one per CPU"
    )
    parser.add_argument("--device", type=_device, help="cpu, cuda or cuda:N; by default a GPU if there is one")
    _add_space(parser)
    parser.set_defaults(run=_validate)


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "export",
        prog="trainers export",
        usage=argparse.SUPPRESS,
        description="export CHECKPOINT FOLDER: a trained model as a folder that timm loads, and as ONNX.",
    )
    _add_checkpoint(parser)
    parser.add_argument("folder", help="a new or empty folder, or an earlier export, which is replaced")
    parser.add_argument("--onnx", metavar="FILE", help="also write this ONNX file, compared with the model first")
    _add_space(parser)
    parser.set_defaults(run=_export)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        help="results/runs/STUDY/checkpoints/KEY (its newest epoch), an epoch-NNNN folder in it, or an export",
    )


def _add_space(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--space", metavar="FILE", help="your own Python file, which registers token mixers")


def _train(args: argparse.Namespace) -> int:
    from trainers.run_trial import run_trial
    from trainers.trial_task import Failure

    task, setup = _trial(args)
    budget = setup.recipe.budget
    for outcome in run_trial(task, setup):
        if isinstance(outcome, Failure):
            return _exit_code(outcome)
        print(_epoch_line(outcome, budget), flush=True)
        report = outcome
    if report.diverged:
        print(f"{task.candidate} diverged at epoch {report.epoch}")
        return 1
    averaged = "" if report.ema_test_top1 is None else f"; with averaged weights {report.ema_test_top1:.2f} %"
    print(f"{task.candidate}: test top-1 {report.test_top1:.2f} %{averaged}")
    return 0


def _trial(args: argparse.Namespace) -> tuple[TrialTask, TrainingSetup]:
    """The trial that the command line asks for, on all of this machine. ValueError or OSError in one line."""
    candidate = Candidate.parse(args.candidate)
    recipe = RECIPES[args.recipe]
    if args.epochs is not None:
        recipe = recipe.cut(args.epochs)
    if args.ema is not None:
        recipe = replace(recipe, ema_decay=args.ema)
    if not 0 <= args.seed < 2**32:
        raise ValueError(f"seed {args.seed}, expected 0 to {2**32 - 1}")
    source = recipe.source(args.data)

    # Loading torch takes seconds, so the checks above come first.
    from trainers.data.open_dataset import open_dataset
    from trainers.resources import whole_machine
    from trainers.shared_memory import loader_bytes, shared_memory_problem
    from trainers.trial_task import TrainingSetup, TrialTask
    from trainers.warm_start import warm_start

    _leave_out_sick_gpus(compiles=recipe.compile, ranks=args.ranks)
    resources = whole_machine(args.ranks)
    problem = shared_memory_problem(loader_bytes(recipe, resources))
    if problem:
        raise ValueError(problem)
    weights = None
    if args.init or recipe.mixers_first:
        recipe, weights = warm_start(recipe, args.init)
    setup = TrainingSetup(
        recipe=recipe,
        data=open_dataset(source, recipe),
        resources=resources,
        checkpoints=Folder(args.checkpoints) if args.checkpoints else None,
        weights=weights,
    )
    task = TrialTask(key="", candidate=candidate, seed=args.seed, until=recipe.budget)
    return task, setup


def _leave_out_sick_gpus(*, compiles: bool, ranks: int = 1) -> None:
    """Hide the GPUs that cannot train, with a line for each. ValueError if there are GPUs and none can be used."""
    from trainers.device_health import check_devices, check_nccl, leave_out_sick_gpus

    health = check_devices(compiles=compiles)
    for line in leave_out_sick_gpus(health):
        print(line, file=sys.stderr, flush=True)
    if health and ranks > 1:
        check_nccl()


def _epoch_line(report: TrialReport, budget: int) -> str:
    epoch = report.last
    columns = [
        f"epoch {epoch.epoch:3}/{budget}",
        f"train loss {epoch.train_loss:.4f}",
        f"val loss {epoch.val_loss:.4f}",
        f"val top-1 {epoch.top1:.2f} %",
        f"{epoch.seconds:.1f} s",
    ]
    line = "  ".join(columns)
    if report.note:
        return f"{report.note}\n{line}"
    return line


def _exit_code(failure: Failure) -> int:
    """1 after printing the traceback of an unexpected error. ValueError or OSError for what one line explains."""
    if failure.kind in ("memory", "process died", "device", "io"):
        raise ValueError(f"training cannot continue: {failure.message}")
    if failure.errno is not None:
        raise OSError(failure.errno, failure.message)
    if failure.kind in ("input", "disk"):
        raise ValueError(failure.message)
    print(failure.traceback, end="", file=sys.stderr)
    return 1


def _validate(args: argparse.Namespace) -> int:
    import torch

    from trainers.export.validate import validate

    if args.device != "cpu":
        _leave_out_sick_gpus(compiles=False)
    num_gpus = torch.cuda.device_count()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cpu" and _gpu_index(device) >= num_gpus:
        raise ValueError(f"device {device}, expected one of this machine's {num_gpus} GPUs, or cpu")
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


def _export(args: argparse.Namespace) -> int:
    from trainers.export.timm_folder import export

    for message in export(args.checkpoint, args.folder, args.onnx):
        print(message)
    return 0


def _gpu_index(device: str) -> int:
    """The N of cuda:N. cuda alone means the first GPU."""
    index = device.partition(":")[2]
    return int(index) if index else 0


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}, expected a whole number from 1")
    return int(text)


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text}, expected cpu, cuda or cuda:N")
    return text


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    if lines[0].startswith("Caught "):
        # A loader's worker process sends its traceback as the message. The error itself is in the last line.
        return lines[-1].partition(": ")[2]
    return lines[0]


if __name__ == "__main__":
    replace_what_cannot_be_printed()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
