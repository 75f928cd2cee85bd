import torch

from trainers.evaluation import Evaluation
from trainers.export.accuracy import accuracy_table


def test_the_table():
    counts = Evaluation(torch.tensor([1500, 0]), torch.tensor([1000, 0]), torch.tensor([1500, 0]), total_loss=0.0)
    assert accuracy_table(counts, ("a long name", "all")) == [
        "class         images   top-1 %   top-5 %",
        "a long name    1,500     66.67    100.00",
        "all                0         -         -",
        "all            1,500     66.67    100.00",
    ]
