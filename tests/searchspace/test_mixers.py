"""The registry of token mixers, and self-attention of any width."""

import re

import pytest
import torch

from searchspace.backbones import build
from searchspace.candidate import Candidate
from searchspace.mixers import MIXER_CLASSES, SelfAttention, register_mixer
from searchspace.switches import MIXERS
from tests.support.user_mixers import mixers_forgotten

from timm.models.metaformer import Attention


def test_every_mixer_has_a_class():
    assert MIXER_CLASSES.keys() == MIXERS.keys()


def test_self_attention_is_timms_at_its_width():
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, head_dim=4), Attention(8, head_dim=4)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 8)
    assert torch.equal(ours(x), theirs(x))


def test_self_attention_takes_any_width():
    assert SelfAttention(8, num_heads=3, head_dim=4)(torch.randn(2, 6, 8)).shape == (2, 6, 8)


@pytest.fixture
def registry():
    """What a test registers is gone after it."""
    with mixers_forgotten():
        yield


@pytest.mark.usefixtures("registry")
def test_a_registered_mixer_gets_the_switches_that_it_asked_for():
    @register_mixer("mine", "num_heads", "scale")
    class Mine(torch.nn.Module):
        def __init__(self, dim, num_heads, scale=True, **kwargs):
            super().__init__()
            self.seen = dim, num_heads, scale

    model = build(Candidate.parse("caformer_micro-dwconv-mine.h8.noscale.nosoftmax-attn-attn"), 32)
    assert model.stages[1].blocks[0].token_mixer.seen == (32, 8, False)


@pytest.mark.parametrize(
    ("name", "switches", "wanted"),
    [
        ("ska", (), "expected a lower-case word"),
        ("A-b", (), "expected a lower-case word"),
        ("x", ("deep",), "['deep']"),
    ],
)
def test_a_bad_name_or_switch_is_not_registered(name, switches, wanted):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        register_mixer(name, *switches)(torch.nn.Identity)
