"""Counts of correct images, by hand."""

import math

import pytest
import torch

from trainers.evaluation import PADDING, evaluate, evaluate_all, evaluation_batch

CPU = torch.device("cpu")


def identity(logits):
    return logits


def test_top1_and_top5_by_hand():
    """The logits of six classes fall from class to class, so only class 5 is not among the top five."""
    logits = torch.arange(6, 0, -1.0).repeat(8, 1)
    labels = torch.tensor([0, 0, 1, 1, 1, 4, 5, 5])
    found = evaluate(identity, [(logits[:5], labels[:5]), (logits[5:], labels[5:])], num_classes=6, device=CPU)
    assert found.images.tolist() == [2, 3, 0, 0, 1, 2]
    assert found.in_top1.tolist() == [2, 0, 0, 0, 0, 0]
    assert found.in_top5.tolist() == [2, 3, 0, 0, 1, 0]
    assert (found.top1, found.top5) == (25.0, 75.0)


def test_two_classes_are_always_among_the_top_five():
    found = evaluate(identity, [(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))], num_classes=2, device=CPU)
    assert (found.top1, found.top5) == (0.0, 100.0)


def test_the_loss_is_the_mean_over_images_and_not_over_batches():
    even = torch.zeros(1, 2)  # cross-entropy ln 2
    sure = torch.tensor([[1000.0, 0.0]])  # cross-entropy 0
    batches = [(even, torch.tensor([0])), (sure.repeat(3, 1), torch.tensor([0, 0, 0]))]
    assert evaluate(identity, batches, num_classes=2, device=CPU).loss == pytest.approx(math.log(2) / 4)


def test_several_models_see_each_batch_once():
    batches = iter([(torch.tensor([[1.0, 0.0]]), torch.tensor([0])), (torch.tensor([[2.0, 0.0]]), torch.tensor([1]))])
    found, reverse = evaluate_all([identity, torch.neg], batches, num_classes=2, device=CPU)
    assert (found.in_top1.tolist(), reverse.in_top1.tolist()) == ([1, 0], [0, 1])
    assert found.loss - reverse.loss == pytest.approx(0.5)  # ln(1 + e^x) - ln(1 + e^-x) = x, for x = -1 and x = 2


def test_padding_of_the_last_batch_counts_nowhere():
    logits = torch.tensor([[3.0, 1.0, 2.0], [1.0, 5.0, 0.0], [9.0, 9.0, 9.0]])
    padded = evaluate(identity, [(logits, torch.tensor([0, 2, PADDING]))], num_classes=3, device=CPU)
    plain = evaluate(identity, [(logits[:2], torch.tensor([0, 2]))], num_classes=3, device=CPU)
    assert padded.images.tolist() == plain.images.tolist() == [1, 0, 1]
    assert padded.in_top1.tolist() == [1, 0, 0]
    assert padded.in_top5.tolist() == [1, 0, 1]
    assert padded.total_loss == plain.total_loss


def test_a_gpu_evaluates_twice_a_micro_batch_at_once():
    assert evaluation_batch(64, torch.device("cuda")) == 128
    assert evaluation_batch(64, CPU) == 64
