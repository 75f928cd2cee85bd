"""Candidates as models, and as models of timm."""

import pytest
import torch

from searchspace.backbones import build
from searchspace.candidate import Candidate
from searchspace.paper_spaces import SPACES
from trainers.cost import count

import timm

BASE = Candidate.parse("caformer_s18-dwconv-dwconv-attn-attn")

# Millions of parameters and GFLOPs (multiply-add 2) at 224 px, counted once and checked by hand. If one of these
# changes, an architecture has changed, and weights and results recorded before are of another model.
COUNTS = {
    "caformer_s18-dwconv-dwconv-attn-attn": ("26.34", "8.21"),
    "caformer_b36-dwconv-dwconv-attn-attn": ("98.75", "46.3"),
    "caformer_s18-dwconv-cska-attn-attn": ("28.97", "12.80"),
    "caformer_s18-dwconv-cska.h8-attn-attn": ("28.98", "12.80"),
    "caformer_s18-dwconv-dwconv-cska-attn": ("30.5", "9.62"),
    "caformer_b36-dwconv-cska-attn-attn": ("119.4", "82.4"),
    "caformer_s18-dwconv-ska-attn-attn": ("26.56", "9.02"),
    "caformer_s18-dwconv-dwconv-ska-attn": ("25.98", "7.85"),
    "caformer_s18-dwconv-dwconv-attn-ska": ("25.63", "8.14"),
}


def test_the_base_candidate_is_timms_caformer_bit_for_bit():
    ours, theirs = build(BASE).eval(), timm.create_model("caformer_s18").eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize("text", COUNTS)
def test_parameters_and_flops(text):
    params, flops = count(Candidate.parse(text), 224)
    decimals = [len(number.partition(".")[2]) for number in COUNTS[text]]
    assert (f"{params / 1e6:.{decimals[0]}f}", f"{flops / 1e9:.{decimals[1]}f}") == COUNTS[text]


@pytest.mark.parametrize(
    "candidate", [c for space in SPACES.values() for c in space.on("caformer_micro").published_candidates()], ids=str
)
def test_every_published_candidate_learns(candidate):
    model = build(candidate, 32, num_classes=5)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_rectangular_image():
    model = build(Candidate.parse("caformer_micro-ska-cska-attn-cska"), (32, 48), num_classes=5)
    assert model(torch.randn(2, 3, 32, 48)).shape == (2, 5)


def test_weights_load_at_another_image_size():
    candidate = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")
    small, large = build(candidate, 32, num_classes=5), build(candidate, 48, num_classes=5)
    large.load_state_dict(small.state_dict())
    assert large(torch.randn(1, 3, 48, 48)).isfinite().all()


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="32 channels do not divide into 5 heads"):
        build(Candidate.parse("caformer_micro-dwconv-attn.h5-attn-attn"), 32)


@pytest.mark.parametrize("name", ["skaformer_s18", "skaformer_b36", "cskaformer_s18", "cskaformer_b36"])
def test_the_papers_models_are_registered_with_timm(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=10)
        assert model(torch.empty(1, 3, 224, 224)).shape == (1, 10)


def test_registered_models_give_features():
    with torch.device("meta"):
        model = timm.create_model("cskaformer_s18", features_only=True)
        shapes = [tuple(feature.shape[1:]) for feature in model(torch.empty(1, 3, 224, 224))]
    assert shapes == [(64, 56, 56), (128, 28, 28), (320, 14, 14), (512, 7, 7)]
    assert model.feature_info.reduction() == [4, 8, 16, 32]


def test_registered_models_take_an_image_size():
    with torch.device("meta"):
        model = timm.create_model("skaformer_s18", img_size=384)
    assert model.stages[1].blocks[0].token_mixer.grid == (48, 48)


def test_dropout_acts_on_the_hidden_units_of_the_classifier():
    model = build(Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), 32, num_classes=3, drop_rate=0.5)
    active = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout) and module.p]
    assert active == ["head.fc.head_drop"]
    assert model.head.fc.head_drop.p == 0.5
    assert build(BASE, num_classes=0, drop_rate=0.5, device=torch.device("meta")).num_classes == 0


@pytest.mark.parametrize("attention", ["attn.h1.d16", "attn.h8.d16", "attn.h8"])
def test_attention_of_any_inner_width_can_be_built(attention):
    model = build(Candidate.parse(f"caformer_micro-dwconv-{attention}-attn-attn"), 32, num_classes=3)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_any_candidate_is_a_model_of_timms():
    text = "caformer_micro-dwconv-cska.h4.nosoftmax-ska-attn"
    torch.manual_seed(0)
    theirs = timm.create_model("metaformer_placement", candidate=text, img_size=32, in_chans=1, num_classes=5).eval()
    ours = build(Candidate.parse(text), 32, in_chans=1, num_classes=5).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))
