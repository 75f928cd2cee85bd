from dataclasses import replace

import pytest
import torch
from torch import nn

from trainers.optimizer import Optimizer
from trainers.recipes import DIGITS

CPU = torch.device("cpu")


def make_optimizer(model=None, **changes):
    recipe = replace(DIGITS, optimizer="sgd", epochs=4, warmup_epochs=2, lr=0.4, warmup_lr=0.0, weight_decay=0.0)
    return Optimizer(model or nn.Linear(1, 1), replace(recipe, **changes), device=CPU, steps_per_epoch=2)


def rates(optimizer):
    found = []
    for epoch in range(2):
        for step in range(2):
            optimizer.set_lr(epoch, step)
            found.append(optimizer.lr)
    return found


def test_the_learning_rate_follows_the_steps():
    assert rates(make_optimizer(sched_on_updates=True)) == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_or_it_follows_the_epochs():
    assert rates(make_optimizer(sched_on_updates=False)) == pytest.approx([0.0, 0.0, 0.2, 0.2])


def test_a_step_clips_the_gradient():
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.item()
    optimizer = make_optimizer(model, clip_grad=0.5)
    optimizer.base.param_groups[0].update(lr=1.0, momentum=0.0, nesterov=False)
    optimizer.backward(100 * model.weight.sum())
    optimizer.step()
    assert before - model.weight.item() == pytest.approx(0.5, rel=1e-4)


def test_gradients_of_micro_batches_add_up_until_they_are_dropped():
    model = nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer(model)
    optimizer.backward(model.weight.sum())
    optimizer.backward(2 * model.weight.sum())
    assert model.weight.grad.item() == 3.0
    optimizer.zero_grad()
    assert model.weight.grad is None


def test_restored_state_has_the_layout_of_the_parameters():
    """Norms of tensors are rounded differently in another memory layout."""
    model = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, optimizer="adamw")
    optimizer.backward(model(torch.ones(1, 4, 8, 8)).sum())
    optimizer.step()
    state = optimizer.base.state_dict()
    for values in state["state"].values():
        values["exp_avg"] = values["exp_avg"].contiguous()
    again = make_optimizer(model, optimizer="adamw")
    again.load_state_dicts(state, {})
    assert again.base.state[model.weight]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("name", "device", "is_fused"), [("adamw", "cuda", True), ("adamw", "cpu", None), ("lamb", "cuda", None)]
)
def test_adamw_updates_all_parameters_at_once_on_a_gpu(name, device, is_fused):
    recipe = replace(DIGITS, optimizer=name)
    optimizer = Optimizer(nn.Linear(1, 1), recipe, device=torch.device(device), steps_per_epoch=2)
    assert optimizer.base.defaults.get("fused") is is_fused


def test_fused_and_plain_adamw_take_the_same_steps():
    """torch's fused kernel also runs on a CPU."""
    weights = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(8, 8)
        optimizer = make_optimizer(model, optimizer="adamw", lr=1e-2)
        optimizer.base.param_groups[0]["fused"] = fused
        for _ in range(5):
            optimizer.zero_grad()
            optimizer.backward(model(torch.ones(2, 8)).square().sum())
            optimizer.step()
        weights.append(model.weight.detach())
    torch.testing.assert_close(weights[0], weights[1])
