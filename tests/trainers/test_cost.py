"""Counted and measured costs."""

import pytest
import torch

from searchspace.candidate import Candidate
from searchspace.paper_spaces import PLACEMENT
from trainers.cost import ModelSize, count, count_all, measure
from trainers.resources import Resources

MICRO = Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn")
S18 = Candidate.parse("caformer_s18-dwconv-dwconv-attn-attn")


def test_the_size_of_caformer_s18():
    """8.214 GFLOPs at 224 px, as the paper and timm say (4.1 G multiply-adds)."""
    assert count(S18, 224) == ModelSize(num_params=26_341_656, flops=8_213_882_880)


def test_adding_up_stages_equals_counting_whole_models():
    candidates = PLACEMENT.on("caformer_micro").sample(5, 32)
    counted = {candidate: count(candidate, 32, 1, 10) for candidate in candidates}
    assert count_all(candidates, 32, 1, 10) == counted


def test_no_candidates_have_no_sizes():
    assert count_all([], 32) == {}


@pytest.mark.parametrize("mixer", ["ska", "cska"])
def test_flops_follow_table_6(mixer):
    """Stage 2 of S18 at 224 px: three layers of N = 784 tokens and D = 128 channels; two FLOPs a multiply-add."""
    N, D = 784, 128
    mixer_macs = {"ska": N * (2 * N * D + 3 * D**2), "cska": N * (10 * N * D + 3 * D**2)}[mixer]
    # timm's SepConv expands two-fold: 7 x 7 depthwise over 2 D channels between two pointwise layers.
    dwconv_macs = N * (49 * 2 * D + 2 * 2 * D**2)
    baseline = count(S18, 224).flops
    changed = count(Candidate.parse(f"caformer_s18-dwconv-{mixer}-attn-attn"), 224).flops
    assert changed - baseline == 2 * 3 * (mixer_macs - dwconv_macs)


def test_a_measured_cost_is_complete(quick):
    cost = measure(MICRO, quick, channels=1, num_classes=4, resources=Resources())
    assert (cost.num_params, cost.flops) == count(MICRO, quick.img_size, 1, 4)
    assert cost.images_per_second > cost.train_images_per_second > 0
    assert cost.batch_size == quick.batch_size
    weights = 4 * cost.num_params
    assert cost.peak_memory is not None
    assert cost.peak_memory > 3 * weights  # the weights and AdamW's two averages


def test_memory_is_measured_only_if_asked_for(quick):
    assert measure(MICRO, quick, 1, 4, Resources(), memory=False).peak_memory is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_named(quick):
    cost = measure(MICRO, quick, channels=1, num_classes=4, resources=Resources(device="cuda"))
    assert cost.device == torch.cuda.get_device_name()
