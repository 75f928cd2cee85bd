"""The model card: what was recorded, and nothing that was not."""

import subprocess
import sys

import pytest

from tests.support.checkpoints import METADATA, write_checkpoint
from tests.support.paths import ROOT
from trainers.export.model_card import MARK, model_card
from trainers.export.timm_folder import export
from trainers.metadata import CheckpointMetadata, Scores

RECORDED = Scores(1, 61.25, 58.5)


def card(scores=RECORDED, user_mixers=(), **changes):
    metadata = CheckpointMetadata(**{**METADATA, **changes})
    return model_card(metadata, scores, folder="out", num_params=1234567, user_mixers=user_mixers)


@pytest.mark.parametrize(
    "line",
    [
        "| candidate | `caformer_micro-dwconv-cska-ska-attn` |",
        "| parameters | 1,234,567 |",
        "| recipe | quick (01234567) |",
        "| data | shapes (89abcdef), 3 classes |",
        "| seed | 3 |",
        "| epochs | 1 |",
        "| validation top-1 | 61.25 % |",
        "| test top-1 | 58.50 % |",
        "| image size | 16 px, gray |",
        "| mean of pixels / 255 | 0.2500 |",
        "| standard deviation of pixels / 255 | 0.5000 |",
        "| evaluation transform | bicubic, crop_pct 1 |",
        "| commit | c0ffee |",
    ],
)
def test_every_recorded_value_is_a_row(line):
    assert line in card().splitlines()


def test_the_card_names_the_paper_and_the_program_that_wrote_it():
    assert "arxiv.org/abs/2412.07049" in card()
    assert MARK in card()


def test_missing_scores_are_called_not_recorded():
    text = card(scores=Scores(1, None, None))
    assert "| validation top-1 | not recorded |\n| test top-1 | not recorded |" in text


@pytest.mark.parametrize(("init", "said"), [(None, "random"), ("caformer_s18-01234567", "caformer_s18-01234567")])
def test_the_initial_weights_are_named(init, said):
    assert f"| initial weights | {said} |" in card(init=init)


def test_user_mixers_are_named():
    assert "The token mixers `mean`, `pool` are not part of that package." in card(user_mixers=["mean", "pool"])
    assert "not part of that package" not in card()


@pytest.mark.slow
def test_the_cards_code_loads_the_model_in_a_new_process(tmp_path):
    export(write_checkpoint(tmp_path / "run"), str(tmp_path / "out"), None)
    lines = (tmp_path / "out" / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    code = lines + "print(model.stages[1].blocks[0].token_mixer.grid)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "(4, 4)"
