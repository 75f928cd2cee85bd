"""Blockers on a fake node, which hands out its free GPUs in order. tests/faults/test_sick_gpus.py has real Ray."""

from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError

from orchestrator import gpu_blockers
from orchestrator.gpu_blockers import GpuBlockers
from orchestrator.gpu_placement import Gpu

SICK = Gpu("host", "2", "node")


class FakeNode:
    """Slots of GPUs; requests that no slot is free for wait."""

    def __init__(self):
        self.free = []

    def request(self, gpu):
        actor = SimpleNamespace(slot=None)
        return actor, actor

    def wait(self, answers, timeout):
        (actor,) = answers
        if actor.slot is None and self.free:
            actor.slot = self.free.pop(0)
        return ([], answers) if actor.slot is None else (answers, [])

    def get(self, actor):
        if actor.slot == "dead":
            raise ActorDiedError
        return [actor.slot]

    def kill(self, actor):
        if actor.slot is not None:
            self.free.append(actor.slot)


@pytest.fixture
def node(monkeypatch):
    node = FakeNode()
    monkeypatch.setattr(GpuBlockers, "_request", node.request)
    for name in ("wait", "get", "kill"):
        monkeypatch.setattr(gpu_blockers.ray, name, getattr(node, name))
    return node


def poll(blockers, times, trials=0, now=0.0):
    return [blockers.poll({SICK: trials}, now) for _ in range(times)]


def test_gpus_are_requested_until_the_sick_one_comes_and_the_others_are_given_back(node):
    node.free = ["0", "1", "2"]
    blockers = GpuBlockers(1.0)
    assert poll(blockers, 5) == [True, True, True, False, False]
    assert sorted(node.free) == ["0", "1"]


def test_every_slot_of_a_shared_gpu_is_taken_when_its_trial_has_ended(node):
    node.free = ["0", "2"]
    blockers = GpuBlockers(0.4)  # two trials fit on a GPU
    assert poll(blockers, 4, trials=1) == [True, True, False, False]
    node.free.append("2")
    assert poll(blockers, 4, trials=0) == [True, True, False, False]
    assert node.free == ["0"]


def test_a_search_that_takes_too_long_gives_its_gpus_back_until_it_is_tried_again(node):
    node.free = ["0"]
    blockers = GpuBlockers(2.0, patience_seconds=30)  # trials of two GPUs: a blocker takes one
    assert poll(blockers, 3) == [True, True, True]
    assert poll(blockers, 2, now=31.0) == [False, False]
    assert node.free == ["0"]
    blockers.retry()
    assert poll(blockers, 1, now=32.0) == [True]


def test_a_node_that_is_gone_ends_the_search(node):
    node.free = ["dead"]
    assert poll(GpuBlockers(1.0), 3) == [True, False, False]


def test_a_study_without_gpus_needs_no_blockers(node):
    assert poll(GpuBlockers(0.0), 1) == [False]
