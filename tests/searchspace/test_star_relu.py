"""StarReLU against timm's own module, bit for bit."""

import copy

import pytest
import torch
import torch.nn.functional as F

from searchspace.backbones import build
from searchspace.candidate import Candidate
from searchspace.star_relu import StarReLU

from timm.models.metaformer import StarReLU as TimmStarReLU


class OnGPU(TimmStarReLU):
    """timm's module as autocast computes it on a GPU, where powers are taken in float32."""

    def forward(self, x):
        return self.scale * self.relu(x).float() ** 2 + self.bias


def twin(model, kind):
    """A copy of the model with StarReLU of another kind."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if type(module) is StarReLU:
            module.__class__ = kind
    return copied


def outputs_and_gradients(module, x, direction, autocast=None):
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
        y = module(x)
    y.backward(direction.to(y.dtype))
    return [y.detach(), x.grad, module.scale.grad, module.bias.grad]


@pytest.fixture
def modules():
    pair = StarReLU(0.8944, -0.4472), TimmStarReLU(0.8944, -0.4472)
    torch.manual_seed(0)
    return pair


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_timms_bit_for_bit(modules, memory_format):
    x = torch.randn(3, 7, 5, 5).to(memory_format=memory_format)
    direction = torch.randn_like(x)
    for ours, theirs in zip(*(outputs_and_gradients(module, x, direction) for module in modules), strict=True):
        assert torch.equal(ours, theirs)


def test_under_autocast_it_is_rounded_where_the_next_layer_would_round_timms(modules):
    x = torch.randn(4, 6, 5, 5).bfloat16()
    direction = torch.randn_like(x)
    modules[1].__class__ = OnGPU
    ours, theirs = (outputs_and_gradients(module, x, direction, torch.bfloat16) for module in modules)
    assert (ours[0].dtype, theirs[0].dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(ours[0], theirs[0].bfloat16())
    for mine, timms in zip(ours[1:], theirs[1:], strict=True):
        assert torch.equal(mine, timms)


def test_fifty_steps_of_training_have_timms_losses():
    torch.manual_seed(0)
    model = build(Candidate.parse("caformer_micro-dwconv-ska-attn-cska"), 16, num_classes=3)
    assert losses(twin(model, TimmStarReLU)) == losses(model)


def test_fifty_steps_under_autocast_have_timms_losses():
    torch.manual_seed(0)
    model = build(Candidate.parse("caformer_micro-dwconv-dwconv-attn-attn"), 8, num_classes=3)
    assert losses(twin(model, OnGPU), torch.bfloat16) == losses(model, torch.bfloat16)


def losses(model, autocast=None):
    draw = torch.Generator().manual_seed(1)
    size = 8 if autocast else 16
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    found = []
    for _ in range(50):
        images = torch.randn(4, 3, size, size, generator=draw)
        labels = torch.randint(3, (4,), generator=draw)
        with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_only_relu_is_kept_for_the_backward_pass(modules):
    kept = []
    for module in modules:
        storages = set()
        x = torch.randn(64, 64, requires_grad=True) * 1
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=storages: s.add(t.data_ptr()) or t, lambda t: t):
            module(x)
        kept.append(len(storages - {module.scale.data_ptr(), module.bias.data_ptr()}))
    assert kept == [1, 2]


def test_a_second_derivative_is_refused(modules):
    x = torch.randn(5, requires_grad=True)
    with pytest.raises(RuntimeError, match="StarReLU can be differentiated once"):
        torch.autograd.grad(modules[0](x).sum(), x, create_graph=True)


def test_frozen_parameters_get_no_gradient(modules):
    modules[0].requires_grad_(False)
    x = torch.randn(5, requires_grad=True)
    modules[0](x).sum().backward()
    assert modules[0].scale.grad is None
    assert x.grad is not None


def test_names_of_parameters_are_timms(modules):
    assert list(modules[0].state_dict()) == list(modules[1].state_dict()) == ["scale", "bias"]


@pytest.mark.parametrize(
    "as_graph",
    [
        torch.jit.script,
        torch.fx.symbolic_trace,
        lambda module: torch.jit.trace(module, torch.randn(5)),
        lambda module: torch.export.export(module, (torch.randn(5),)).module(),
        lambda module: torch.compile(module, backend="aot_eager", fullgraph=True),
    ],
    ids=["script", "fx", "trace", "export", "compile"],
)
def test_graphs_of_it_give_its_values(modules, as_graph):
    x = torch.randn(5)
    assert torch.equal(as_graph(modules[0])(x), modules[1](x))


def test_every_star_relu_of_a_model_is_ours():
    model = build(Candidate.parse("caformer_micro-dwconv-ska-attn-cska"), 32, dtype=torch.float64)
    kinds = {type(module) for module in model.modules() if isinstance(module, TimmStarReLU)}
    assert kinds == {StarReLU}
    assert {module.scale.dtype for module in model.modules() if isinstance(module, StarReLU)} == {torch.float64}
