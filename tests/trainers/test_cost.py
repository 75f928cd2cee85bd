import pytest
import torch

from searchspace.candidate import Candidate
from searchspace.spaces import PLACEMENT
from trainers.cost import count, count_all, measure

BASE = Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn")


def test_adding_up_stages_gives_what_counting_whole_models_gives():
    some = PLACEMENT.on("caformer_micro").sample(5, 32)
    assert count_all(some, 32, 1, 10) == {candidate: count(candidate, 32, 1, 10) for candidate in some}


@pytest.mark.parametrize("mixer", ["ska", "cska"])
def test_flops_follow_table_6(mixer):
    """Stage 2 of S18 at 224 px: three layers of N = 784 tokens and D = 128 channels; two FLOPs a multiply-add."""
    N, D = 784, 128
    mixer_macs = {"ska": N * (2 * N * D + 3 * D**2), "cska": N * (10 * N * D + 3 * D**2)}[mixer]
    # timm's SepConv expands two-fold: 7 x 7 depthwise over 2 D channels between two pointwise layers.
    dwconv_macs = N * (49 * 2 * D + 2 * 2 * D**2)
    base = count(Candidate.parse("caformer_s18-dwconv-dwconv-attn-attn"), 224)[1]
    ours = count(Candidate.parse(f"caformer_s18-dwconv-{mixer}-attn-attn"), 224)[1]
    assert ours - base == 2 * 3 * (mixer_macs - dwconv_macs)


def test_a_measured_cost_is_complete(quick):
    cost = measure(BASE, quick, channels=1, num_classes=4)
    assert (cost.num_params, cost.flops) == count(BASE, quick.img_size, 1, 4)
    assert cost.images_per_second > cost.train_images_per_second > 0
    weights = 4 * cost.num_params
    assert cost.peak_memory > 3 * weights  # the weights and AdamW's two averages
    assert cost.batch_size == quick.batch_size


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_named(quick):
    assert measure(BASE, quick, channels=1, num_classes=4).device == torch.cuda.get_device_name()
