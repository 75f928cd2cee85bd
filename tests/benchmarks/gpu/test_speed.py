"""Speeds are measured on a CPU by the same code."""

import pytest
import torch

from benchmarks.gpu import shared_card, speed
from benchmarks.gpu.scale import SMALL
from benchmarks.training import make_trainer, noise
from searchspace.star_relu import StarReLU
from trainers.resources import Resources

CPU = torch.device("cpu")


@pytest.mark.slow
def test_ours_timms_and_the_equations_are_measured():
    found = speed.eager_steps(CPU, SMALL, name="CSKA")
    assert [each.variant for each in found.measurements] == ["ours", "equations written out", "timm's loop"]
    assert all(each.images_per_second > 0 for each in found.measurements)


def test_what_is_compiled_is_measured_too():
    (measured,) = speed.compiled_steps(CPU, SMALL, name="SKA").measurements
    assert measured.variant == "ours, compiled"


def test_the_equations_give_the_losses_of_ours():
    recipe = speed.ablation_recipe(SMALL, compile=False)
    logits = []
    for equations in (False, True):
        trainer = make_trainer(SMALL.candidate("CSKA"), recipe, noise(recipe, 10, 1), Resources())
        if equations:
            speed.write_out_equations(trainer)
        trainer.model.eval()
        logits.append(trainer.training_model.predict(torch.ones(2, 3, SMALL.img_size, SMALL.img_size)))
    torch.testing.assert_close(logits[0], logits[1])


def test_the_median_step_counts():
    class Clock:
        now = 0.0

    def step():
        Clock.now += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: Clock.now)
        assert speed.images_per_second(step, 8, CPU, 2.0) == 8.0


@pytest.mark.slow
def test_trials_side_by_side_add_up():
    found = shared_card.small_trials_side_by_side(CPU, SMALL)
    assert [each.what for each in found.measurements] == ["1 trials", "2 trials"]


def test_a_second_process_is_weighed():
    assert "MB for a process" in shared_card.memory_of_a_context(CPU, SMALL).detail


def test_timms_loop_has_timms_activation():
    from benchmarks.training import use_timms_activation
    from searchspace.backbones import build

    model = build(SMALL.candidate("baseline"), 16)
    use_timms_activation(model)
    assert not any(type(module) is StarReLU for module in model.modules())
