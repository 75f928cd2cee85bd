"""The choice of the micro-batch, with the memory of an invented device."""

from dataclasses import dataclass, replace

import pytest
import torch

from searchspace.candidate import Candidate
from trainers.micro_batch import MeasuredStepMemory, choose_micro_batch, measured_micro_batch, step_memory
from trainers.rank_context import RankContext
from trainers.resources import Resources
from trainers.trial_task import TrainingSetup

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")


@dataclass
class FakeMemory:
    """A device of `size` bytes on which a step takes 1,000 bytes, and 10 for each image."""

    size: int

    def available(self):
        return self.size

    def peak(self, images):
        needed = 1000 + 10 * images
        if needed > self.size:
            raise torch.OutOfMemoryError(f"{needed} bytes")
        return needed


@pytest.mark.parametrize(
    ("size", "chosen"),
    [
        (10**6, 128),
        (int(2280 / 0.9) + 1, 128),  # 128 images take 2,280 bytes, a tenth is left free
        (int(2280 / 0.9) - 1, 64),
        (int(1320 / 0.9) + 1, 32),
        (1250, 8),  # 32 images do not fit, so that 8 and 16 are measured: 12 fit, and 8 divides 128
        (1050, 1),  # without a margin 5 would fit
    ],
)
def test_the_largest_divisor_of_the_group_that_fits_is_chosen(size, chosen):
    assert choose_micro_batch(FakeMemory(size), group=128, largest=128) == chosen


def test_divisors_of_an_odd_group_split_it_evenly():
    assert choose_micro_batch(FakeMemory(int(1500 / 0.9) + 1), group=90, largest=90) == 45


def test_a_single_image_leaves_nothing_to_choose():
    assert choose_micro_batch(FakeMemory(0), group=1, largest=1) == 1


def test_other_errors_of_a_step_are_raised():
    class Broken(FakeMemory):
        def peak(self, images):
            raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        choose_micro_batch(Broken(0), group=128, largest=128)


def test_all_ranks_take_the_smallest_choice():
    class OtherChose32(RankContext):
        def max(self, values):
            return torch.maximum(values, torch.tensor(-32))

    chosen = measured_micro_batch(
        FakeMemory(10**6), group=128, largest=128, device=torch.device("cpu"), rank_context=OtherChose32(0, 2)
    )
    assert chosen == 32


def test_a_cpu_is_not_measured(quick, shapes):
    setup = TrainingSetup(recipe=quick, data=shapes, resources=Resources(), checkpoints=None)
    assert step_memory(CANDIDATE, setup, 16) is None


def test_small_steps_foretell_the_memory_of_a_large_one(quick, shapes):
    """On a CPU, where the profiler counts every byte."""
    recipe = replace(quick, img_size=32)
    setup = TrainingSetup(recipe=recipe, data=shapes, resources=Resources(), checkpoints=None)
    memory = MeasuredStepMemory(CANDIDATE, setup, largest=64)  # steps of up to 32 images
    small, double, large = (memory.peak(images) for images in (8, 16, 32))
    foretold = small + 3 * (double - small)
    assert foretold == pytest.approx(large, rel=0.05)
