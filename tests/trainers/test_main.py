"""The command line `python -m trainers`: what it prints, its exit codes, and refusals in one line."""

import math
import re

import numpy as np
import pytest
from PIL import Image

from tests.support.checkpoints import write_checkpoint, write_weights
from trainers.__main__ import main
from trainers.trial_task import EpochMetrics, Failure, TrialReport

CANDIDATE = "caformer_micro-dwconv-cska-attn-attn"


@pytest.fixture
def fake_trial(monkeypatch):
    """Replaces the training by given outcomes; returns the list of (task, setup) that were asked for."""
    calls = []

    def use(*outcomes):
        def run_trial(task, setup):
            calls.append((task, setup))
            yield from outcomes

        monkeypatch.setattr("trainers.run_trial.run_trial", run_trial)
        return calls

    return use


def report(epoch=1, val_loss=0.5, note=None, test_top1=None):
    metrics = EpochMetrics(
        epoch=epoch, train_loss=1.25, val_loss=val_loss, top1=87.5, lr=1e-3, seconds=3.04, finished_at=0.0
    )
    return TrialReport(
        history=(metrics,),
        test_top1=test_top1,
        device="CPU",
        torch="2",
        ranks=1,
        micro_batch=64,
        accumulation=1,
        finished=test_top1 is not None,
        note=note,
    )


def refusal(capsys, *arguments):
    """The line on standard error of a command that exits with code 2."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:  # how argparse refuses
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert re.fullmatch(r"[^\n]+: error: [^\n]+\n", error), error
    return error.rstrip()


def test_every_epoch_is_a_line_and_the_test_accuracy_comes_last(fake_trial, capsys):
    fake_trial(report(1), report(2, test_top1=91.25))
    assert main([CANDIDATE]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "epoch   1/12  train loss 1.2500  val loss 0.5000  val top-1 87.50 %  3.0 s",
        "epoch   2/12  train loss 1.2500  val loss 0.5000  val top-1 87.50 %  3.0 s",
        f"{CANDIDATE}: test top-1 91.25 %",
    ]


def test_a_note_is_printed_before_its_epoch(fake_trial, capsys):
    fake_trial(report(1, note="continues with 32 x 2", test_top1=91.25))
    main([CANDIDATE])
    assert capsys.readouterr().out.startswith("continues with 32 x 2\nepoch   1/12")


def test_divergence_exits_with_1(fake_trial, capsys):
    fake_trial(report(3, val_loss=math.nan))
    assert main([CANDIDATE]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{CANDIDATE} diverged at epoch 3"


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Failure("memory", "2 images do not fit"), "training cannot continue: 2 images do not fit"),
        (Failure("process died", "rank 1 died"), "training cannot continue: rank 1 died"),
        (Failure("disk", "No space left on device", errno=28), "[Errno 28] No space left on device"),
        (Failure("input", "no data"), "no data"),
        (Failure("input", "Caught OSError in worker.\nTraceback\nOSError: bad image"), "bad image"),
    ],
)
def test_an_explained_failure_exits_with_2_and_one_line(fake_trial, capsys, failure, message):
    fake_trial(report(1), failure)
    assert refusal(capsys, CANDIDATE) == f"trainers: error: {message}"


def test_an_unexpected_failure_exits_with_1_and_its_traceback(fake_trial, capsys):
    fake_trial(Failure("error", "oops", traceback="Traceback:\nKeyError: oops\n"))
    assert main([CANDIDATE]) == 1
    assert capsys.readouterr().err == "Traceback:\nKeyError: oops\n"


def test_the_options_reach_the_trial(fake_trial, tmp_path):
    calls = fake_trial(report(2, test_top1=50.0))
    main([CANDIDATE, "--epochs", "2", "--seed", "7", "--checkpoints", str(tmp_path)])
    ((task, setup),) = calls
    assert (str(task.candidate), task.seed, task.until, task.key) == (CANDIDATE, 7, 2, "")
    assert (setup.recipe.name, setup.recipe.budget, str(setup.checkpoints)) == ("digits", 2, str(tmp_path))


def test_train_is_the_default_command(fake_trial):
    calls = fake_trial(report(2, test_top1=50.0))
    assert main(["train", CANDIDATE]) == main([CANDIDATE]) == 0
    assert calls[0][0] == calls[1][0]


def test_training_begins_with_the_weights_of_a_file(fake_trial, tmp_path):
    calls = fake_trial(report(1, test_top1=50.0))
    assert main([CANDIDATE, "--init", write_weights(tmp_path)]) == 0
    setup = calls[0][1]
    assert setup.recipe.init == str(setup.weights)
    assert setup.weights.candidate == "caformer_micro-dwconv-dwconv-attn-attn"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["caformer_micro-dwconv-magic-attn-attn"], "unknown token mixer 'magic'"),
        (["caformer_micro-dwconv-cska.h7-attn-attn"], "32 channels do not divide into 7 heads"),
        (["caformer_micro-dwconv-attn"], "has 2 stages"),
        ([CANDIDATE, "--seed", "-1"], "seed -1, expected 0 to 4294967295"),
        ([CANDIDATE, "--recipe", "magic"], "invalid choice: 'magic'"),
        ([CANDIDATE, "--recipe", "cifar10"], "recipe 'cifar10' needs --data"),
        ([CANDIDATE, "--epochs", "13"], "13 epochs, expected 1 to 12, the budget of recipe 'digits'"),
        ([CANDIDATE, "--epochs", "0"], "argument --epochs: 0, expected a whole number from 1"),
        ([CANDIDATE, "--data", "/nowhere"], "no data at /nowhere"),
        ([CANDIDATE, "--recipe", "finetune", "--data", "x"], "needs --init: pretrained, or a .safetensors file"),
        ([CANDIDATE, "--init", "nowhere"], "expected pretrained, or a .safetensors file"),
        ([CANDIDATE, "--space", "nowhere"], "unknown space 'nowhere'"),
        ([], "trainers: error: the following arguments are required: candidate"),
        (["validate"], "trainers validate: error: the following arguments are required: checkpoint, --data"),
        (["validate", "x", "--data", "digits", "--img-size", "0"], "--img-size: 0, expected a whole number from 1"),
        (["validate", "x", "--data", "digits", "--batch-size", "x"], "--batch-size: x, expected a whole number"),
        (["validate", "x", "--data", "digits", "--device", "tpu"], "--device: tpu, expected cpu, cuda or cuda:N"),
        (
            ["validate", "x", "--data", "digits", "--device", "cuda:99"],
            "device cuda:99, expected one of this machine's",
        ),
        (["validate", "/nowhere", "--data", "digits"], "trainers: error: no checkpoint in /nowhere"),
        (["export", "/nowhere"], "trainers export: error: the following arguments are required: folder"),
        (["export", "/nowhere", "out"], "trainers: error: no checkpoint in /nowhere"),
    ],
)
def test_wrong_input_is_refused_in_one_line(capsys, arguments, message):
    assert message in refusal(capsys, *arguments)


def test_help_names_the_other_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("CANDIDATE: train one candidate, without Ray.")
    assert "python -m trainers validate --help" in text
    assert "python -m trainers export --help" in text


def test_export_prints_how_to_load_the_model(capsys, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "run")
    assert main(["export", checkpoint, str(tmp_path / "out")]) == 0
    assert f"timm.create_model('local-dir:{tmp_path / 'out'}', pretrained=True)" in capsys.readouterr().out


def test_a_space_file_registers_the_mixers_of_a_candidate(fake_trial, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text("from searchspace.paper_spaces import PLACEMENT as SPACE\n")
    calls = fake_trial(report(1, test_top1=50.0))
    monkeypatch.setenv("SEARCHSPACE_FILE", "")
    assert main([CANDIDATE, "--space", str(file)]) == 0
    assert len(calls) == 1


@pytest.mark.slow
def test_it_trains_without_ray(capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    for split, number in (("train", 40), ("test", 20)):
        for index in range(number):
            folder = tmp_path / split / str(index % 2)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[index] // 2 + 120 * (index % 2)).save(folder / f"{index}.png")
    assert main([CANDIDATE, "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch   1/12  train loss ")
    assert re.fullmatch(CANDIDATE + r": test top-1 \d+\.\d\d %", lines[-1])
