"""Recipes: budgets, rungs, fingerprints and schedules."""

import math
from dataclasses import replace

import pytest
import torch

from trainers.recipes import ABLATION, DIGITS, FINETUNE, IMAGENET, RECIPES


def test_the_budget_is_the_schedule_unless_it_stops_early():
    recipe = replace(DIGITS, epochs=300, cooldown_epochs=10)
    assert recipe.budget == 310
    assert replace(recipe, stop_epoch=160).budget == 160


def test_rungs_count_from_the_end_of_the_warm_up_and_lie_below_the_budget():
    recipe = replace(DIGITS, warmup_epochs=2, first_rung=2, rung_factor=3)
    assert replace(recipe, epochs=20).rungs == [4, 8]
    assert replace(recipe, epochs=21).rungs == [4, 8, 20]


def test_no_rung_compares_epochs_that_train_the_new_parameters_alone():
    assert (FINETUNE.rung_start, FINETUNE.rungs) == (5, [15])


def test_the_ablation_recipe_is_the_imagenet_recipe_stopped_early():
    assert (IMAGENET.budget, ABLATION.budget) == (310, 160)
    assert replace(ABLATION, name="imagenet", stop_epoch=None) == IMAGENET
    assert ABLATION.rungs == [30, 50, 110]


def test_defaults_are_not_part_of_the_fingerprint():
    assert replace(DIGITS, mixup=0.0).choices() == DIGITS.choices()
    assert "mixup" not in DIGITS.choices()
    assert replace(DIGITS, mixup=0.1).fingerprint != DIGITS.fingerprint


FINGERPRINTS = {
    "digits": "691b8f9d",
    "cifar10": "da9a8560",
    "cifar10_short": "756e9688",
    "cifar10_curves": "1b702ecf",
    "finetune_micro": "4a7ba275",
    "ablation": "15c89671",
    "imagenet": "8eb68085",
    "imagenet_b36": "4fde4036",
    "finetune": "e70170c3",
}


def test_recorded_fingerprints_stay():
    """A changed fingerprint refuses every recorded study and checkpoint of that recipe; add a new recipe instead."""
    assert {name: recipe.fingerprint for name, recipe in RECIPES.items()} == FINGERPRINTS


def test_the_fingerprint_changes_with_the_fields():
    same, other = replace(DIGITS), replace(DIGITS, lr=1.0)
    assert same.fingerprint == DIGITS.fingerprint != other.fingerprint


def test_a_cut_recipe_keeps_its_schedule():
    cut = DIGITS.cut(3)
    assert (cut.budget, cut.epochs) == (3, DIGITS.epochs)


@pytest.mark.parametrize("epochs", [0, -1, 1000])
def test_a_cut_must_lie_within_the_budget(epochs):
    with pytest.raises(ValueError, match=f"{epochs} epochs, expected 1 to"):
        DIGITS.cut(epochs)


def test_a_cut_to_the_whole_budget_changes_nothing():
    assert DIGITS.cut(DIGITS.budget) is DIGITS


def test_a_cpu_takes_smaller_micro_batches():
    recipe = replace(DIGITS, micro_batch=64)
    assert (recipe.largest_micro_batch("cuda"), recipe.largest_micro_batch("cpu")) == (64, 4)
    assert replace(DIGITS, micro_batch=8).largest_micro_batch("cpu") == 2
    assert replace(DIGITS, batch_size=48).largest_micro_batch("cpu") == 48


def test_the_command_lines_data_come_before_the_recipes():
    assert DIGITS.source(None) == "digits"
    assert DIGITS.source("folder") == "folder"


@pytest.mark.parametrize(("recipe", "data"), [(IMAGENET, None), (DIGITS, "")])
def test_without_data_a_recipe_asks_for_them(recipe, data):
    with pytest.raises(ValueError, match=f"recipe '{recipe.name}' needs --data"):
        recipe.source(data)


@pytest.mark.parametrize(("changes", "mixes"), [({}, False), ({"mixup": 0.8}, True), ({"cutmix": 1.0}, True)])
def test_mixup_and_cutmix_mix_images(changes, mixes):
    assert replace(DIGITS, **changes).mixes is mixes


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": -1}, {"val_fraction": 1.0}])
def test_invalid_recipes_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        replace(DIGITS, **wrong)


def test_every_recipe_is_listed_under_its_name():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}


def test_the_learning_rate_of_the_imagenet_recipes(shapes):
    """By hand: warm-up from 1e-6 to 8e-3 in 20 epochs, the cosine of 300 epochs, the floor of 1e-5."""
    from searchspace.candidate import Candidate
    from tests.support.training import make_trainer

    recipe = replace(IMAGENET, backbone="caformer_micro", img_size=16, streamed=False)
    trainer = make_trainer(Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), recipe, shapes, seed=0)
    cosine = {epoch: 1e-5 + 7.99e-3 * (1 + math.cos(math.pi * epoch / 300)) / 2 for epoch in (20, 160)}
    wanted = {0: 1e-6, 10: 0.0040005, **cosine, 300: 1e-5, 309: 1e-5}
    assert wanted[160] == pytest.approx(3.5874e-3, abs=1e-7)
    for epoch, lr in wanted.items():
        trainer.optimizer.set_lr(epoch, 0)
        assert trainer.optimizer.lr == pytest.approx(lr, rel=1e-9)


def test_the_schedule_is_a_warm_up_a_cosine_and_a_floor(shapes, quick):
    """Learning rates of the epochs, by hand: linear warm-up, cosine from the peak to the floor, then the floor."""
    from searchspace.candidate import Candidate
    from tests.support.training import make_trainer

    recipe = replace(quick, sched_on_updates=False, epochs=10, warmup_epochs=2, cooldown_epochs=2, warmup_lr=1e-6)
    trainer = make_trainer(Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), recipe, shapes, seed=0)
    found = []
    for epoch in range(recipe.budget):
        trainer.optimizer.set_lr(epoch, 0)
        found.append(trainer.optimizer.lr)

    peak, floor, start = recipe.lr, recipe.min_lr, 1e-6
    cosine = [floor + (peak - floor) * (1 + math.cos(math.pi * epoch / 10)) / 2 for epoch in range(2, 10)]
    wanted = [start, start + (peak - start) / 2, *cosine, floor, floor]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted))


def test_a_micro_batch_of_a_cpu_is_smaller_than_a_gpus():
    assert (ABLATION.largest_micro_batch("cuda"), ABLATION.largest_micro_batch("cpu")) == (128, 8)
