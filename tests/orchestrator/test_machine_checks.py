"""What machines are refused for, and what is left out, with invented answers of devices."""

import os
from dataclasses import replace

import pytest
from torch import distributed

from orchestrator import machine_checks
from orchestrator.gpu_placement import Gpu, Placement
from orchestrator.machine_checks import (
    check_gpus_here,
    check_gpus_of_nodes,
    check_gpus_of_this_node,
    check_shared_memory,
)
from tests.support.fake_queue import FakeCluster
from trainers import device_health
from trainers.device_health import DeviceHealth
from trainers.recipes import DIGITS, IMAGENET
from trainers.resources import Resources

WELL = DeviceHealth(0, "H100", None)
SICK = DeviceHealth(1, "H100", "wrong sums")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(device_health, "visible_gpus", lambda: ["0", "1"])


@pytest.fixture
def answers(monkeypatch):
    """Sets the health of this machine's GPUs. Returns the list of the checks that were made, as `compiles`."""
    asked = []

    def give(*health):
        monkeypatch.setattr(machine_checks, "check_devices", lambda compiles: asked.append(compiles) or list(health))
        return asked

    return give


def test_a_sick_gpu_is_said_and_hidden(answers, capsys):
    assert answers(WELL, SICK) == []
    check_gpus_here(IMAGENET, None)
    assert capsys.readouterr().err == "GPU 1 (H100): wrong sums; it is left out\n"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize("compiles", [True, False])
def test_the_compiler_is_tried_where_the_recipe_compiles(answers, compiles):
    asked = answers(WELL)
    check_gpus_here(replace(IMAGENET, compile=compiles), None)
    assert asked == [compiles]


def test_who_asks_for_no_gpu_is_not_bothered(answers):
    asked = answers(SICK)
    check_gpus_here(IMAGENET, 0)
    assert asked == []


def test_gpus_of_which_none_works_end_the_command(answers):
    answers(SICK)
    with pytest.raises(ValueError, match=r"^no GPU of this machine can be used: GPU 1 \(H100: wrong sums\)"):
        check_gpus_here(DIGITS, None)


def test_ranks_need_nccl(answers, monkeypatch):
    answers(WELL)
    monkeypatch.setattr(distributed, "is_nccl_available", lambda: False)
    check_gpus_here(DIGITS, 1.0)
    with pytest.raises(ValueError, match="needs NCCL, which this build of torch lacks"):
        check_gpus_here(DIGITS, 2.0)


class JoinedCluster(FakeCluster):
    """A cluster whose nodes give these answers, by host."""

    def __init__(self, answers, gpus=0):
        super().__init__(trials_at_a_time=1, gpus=gpus)
        self.answers = answers

    def call_on_each_node(self, function, *args, **options):
        return self.answers

    def most_trials_on_a_node(self):
        return 1


def checked(host, *healths):
    """The answer of a node."""
    return [(Gpu(host, str(health.index), "its node"), health) for health in healths]


def test_sick_gpus_of_a_joined_cluster_are_said_with_their_host_and_excluded(capsys):
    cluster = JoinedCluster({"one": checked("one", WELL, SICK), "two": checked("two", WELL)}, gpus=3)
    check_gpus_of_nodes(cluster, DIGITS)
    assert capsys.readouterr().err == "one: GPU 1 (H100): wrong sums; no trial trains on it\n"
    assert cluster.excluded == [Gpu("one", "1", "its node")]


def test_a_cluster_of_sick_gpus_is_refused():
    cluster = JoinedCluster({"one": checked("one", SICK), "two": checked("two", SICK)}, gpus=2)
    with pytest.raises(ValueError, match="no GPU of this cluster can be used"):
        check_gpus_of_nodes(cluster, DIGITS)


def test_a_cluster_whose_healthy_gpus_are_too_few_for_a_trial_is_refused(monkeypatch):
    cluster = JoinedCluster({"one": checked("one", WELL, SICK)}, gpus=2)
    monkeypatch.setattr(cluster, "lacks_healthy_gpus", lambda: len(cluster.excluded) == 1)
    with pytest.raises(ValueError, match="the healthy GPUs of this cluster hold no trial"):
        check_gpus_of_nodes(cluster, DIGITS)


def test_nodes_without_gpus_are_not_refused():
    cluster = JoinedCluster({"one": checked("one", WELL), "head": []}, gpus=1)
    check_gpus_of_nodes(cluster, DIGITS)
    assert cluster.excluded == []


def test_a_node_names_its_gpus_as_ray_does(answers, monkeypatch):
    answers(WELL, SICK)
    monkeypatch.setattr(machine_checks, "visible_gpus", lambda: ["4", "6"])
    monkeypatch.setattr(Placement, "here", lambda: Placement("its node", "one", 17))
    checks = check_gpus_of_this_node(compiles=False)
    assert checks == [(Gpu("one", "4", "its node"), WELL), (Gpu("one", "6", "its node"), SICK)]


def test_too_little_shared_memory_is_refused_with_its_host():
    resources = Resources(device="cuda", workers=4)
    with pytest.raises(ValueError, match=r"^two: too little$"):
        check_shared_memory(JoinedCluster({"one": None, "two": "too little"}), IMAGENET, resources)


def test_without_loader_processes_shared_memory_does_not_matter():
    check_shared_memory(JoinedCluster({"one": "too little"}), IMAGENET, Resources(device="cuda"))
