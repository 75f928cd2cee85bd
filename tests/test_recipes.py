import math
from dataclasses import replace

import pytest
import torch

from trainers.recipes import DIGITS, RECIPES


def test_the_budget_is_the_schedule_unless_it_stops_early():
    recipe = replace(DIGITS, epochs=300, cooldown_epochs=10)
    assert recipe.budget == 310
    assert replace(recipe, stop_epoch=160).budget == 160


def test_rungs_lie_below_the_budget():
    assert replace(DIGITS, epochs=18, first_rung=2, rung_factor=3).rungs == [2, 6]


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


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": -1}, {"val_fraction": 1.0}])
def test_senseless_recipes_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        replace(DIGITS, **wrong)


def test_every_recipe_is_listed_under_its_name():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}


def test_the_schedule_is_a_warm_up_a_cosine_and_a_floor(shapes, quick):
    """Learning rates of the epochs, by hand: linear warm-up, cosine from the peak to the floor, then the floor."""
    from searchspace.candidate import Candidate
    from trainers.training import Trainer

    recipe = replace(quick, sched_on_updates=False, epochs=10, warmup_epochs=2, cooldown_epochs=2, warmup_lr=1e-6)
    trainer = Trainer(Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), recipe, shapes, seed=0)
    found = []
    for epoch in range(recipe.budget):
        trainer.schedule.step(epoch)
        found.append(trainer.optimizer.param_groups[0]["lr"])

    peak, floor, start = recipe.lr, recipe.min_lr, 1e-6
    cosine = [floor + (peak - floor) * (1 + math.cos(math.pi * epoch / 10)) / 2 for epoch in range(2, 10)]
    wanted = [start, start + (peak - start) / 2, *cosine, floor, floor]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted))
