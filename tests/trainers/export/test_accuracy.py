"""Counts of correct images, by hand, and their table."""

import torch
from torch import nn

from trainers.export.accuracy import ClassCounts, accuracy_table, count_correct


def test_top1_and_top5_by_hand():
    """The logits of six classes fall from class to class, so only class 5 is not among the top five."""
    logits = torch.arange(6, 0, -1.0).repeat(8, 1)
    labels = torch.tensor([0, 0, 1, 1, 1, 4, 5, 5])
    counts = count_correct(nn.Identity(), [(logits[:5], labels[:5]), (logits[5:], labels[5:])])
    assert counts.images.tolist() == [2, 3, 0, 0, 1, 2]
    assert counts.top1.tolist() == [2, 0, 0, 0, 0, 0]
    assert counts.top5.tolist() == [2, 3, 0, 0, 1, 0]


def test_two_classes_are_always_among_the_top_five():
    counts = count_correct(nn.Identity(), [(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))])
    assert (counts.top1.tolist(), counts.top5.tolist()) == ([0, 0], [0, 1])


def test_the_table():
    counts = ClassCounts(torch.tensor([1500, 0]), torch.tensor([1000, 0]), torch.tensor([1500, 0]))
    assert accuracy_table(counts, ("a long name", "all")) == [
        "class         images   top-1 %   top-5 %",
        "a long name    1,500     66.67    100.00",
        "all                0         -         -",
        "all            1,500     66.67    100.00",
    ]
