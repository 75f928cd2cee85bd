"""Every check runs on a CPU as it would on a GPU, and fails where something is wrong."""

from dataclasses import replace

import pytest
import torch

from benchmarks.gpu import correctness
from benchmarks.gpu.outcomes import CheckFailedError
from benchmarks.gpu.scale import ON_GPU, SMALL
from searchspace.star_relu import StarReLU
from trainers.training_model import TrainingModel

CPU = torch.device("cpu")


QUICK = (
    correctness.one_rank_exchanges_gradients,
    correctness.logits_are_those_of_a_cpu,
)


@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.__name__)
def test_it_holds_on_a_cpu(check):
    assert check(CPU, SMALL).detail


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", sorted(set(correctness.CHECKS) - set(QUICK), key=str), ids=lambda check: check.__name__
)
def test_what_trains_longer_holds_on_a_cpu(check):
    assert check(CPU, SMALL).detail


@pytest.mark.gpu
@pytest.mark.parametrize("check", correctness.CHECKS, ids=lambda check: check.__name__)
def test_it_holds_on_a_gpu(check):
    assert check(torch.device("cuda"), SMALL).detail


def autocast_as_on_a_gpu(monkeypatch):
    """A CPU computes in the recipe's type too."""

    def amp_dtype(amp, device):
        return getattr(torch, amp) if amp else None

    monkeypatch.setattr("trainers.training_model.amp_dtype", amp_dtype)
    monkeypatch.setattr("trainers.optimizer.amp_dtype", amp_dtype)


@pytest.mark.slow
def test_bfloat16_is_close_to_float32(monkeypatch):
    autocast_as_on_a_gpu(monkeypatch)
    assert "losses differ by 0.0e+00" not in correctness.bfloat16_trains_as_float32(CPU, SMALL).detail


@pytest.mark.slow
def test_an_overflow_of_float16_is_skipped(monkeypatch):
    autocast_as_on_a_gpu(monkeypatch)
    assert "overflow skipped" in correctness.float16_scaler_skips_overflow(CPU, SMALL).detail


def test_a_loss_that_does_not_fall_is_found(monkeypatch):
    loss = TrainingModel.loss
    monkeypatch.setattr(TrainingModel, "loss", lambda *args: 0 * loss(*args) + 1)
    with pytest.raises(CheckFailedError, match=r"the fp32 loss went from 1\.000 to 1\.000, expected less"):
        correctness.bfloat16_trains_as_float32(CPU, replace(SMALL, steps=3))


def test_a_missing_gradient_is_found(monkeypatch):
    monkeypatch.setattr(StarReLU, "forward", lambda self, x: x.detach())
    with pytest.raises(CheckFailedError, match=r"the gradient of .* is missing or not finite"):
        correctness.every_published_candidate_learns(CPU, SMALL)


def test_on_a_gpu_the_checks_use_the_papers_model():
    assert str(ON_GPU.candidate("CSKA")) == "caformer_s18-dwconv-cska.h8-attn-attn"
