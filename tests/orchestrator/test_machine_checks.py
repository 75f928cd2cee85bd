"""What machines are refused for, and what is left out, with invented answers of devices."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from torch import distributed

from orchestrator import machine_checks
from orchestrator.machine_checks import check_gpus_here, check_gpus_of_nodes, check_shared_memory
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


def cluster(answers, trials=1):
    """A cluster whose nodes give these answers, by host."""
    return SimpleNamespace(
        request=SimpleNamespace(gpus=1.0),
        most_trials_on_a_node=lambda: trials,
        call_on_each_node=lambda function, *args, **options: answers,
    )


def test_sick_gpus_of_a_joined_cluster_are_said_with_their_host(capsys):
    assert check_gpus_of_nodes(cluster({"one": [WELL, SICK], "two": [WELL]}), DIGITS) == {"one": [SICK], "two": []}
    assert capsys.readouterr().err == "one: GPU 1 (H100): wrong sums\n"


def test_a_cluster_of_sick_gpus_is_refused():
    with pytest.raises(ValueError, match="no GPU of this cluster can be used"):
        check_gpus_of_nodes(cluster({"one": [SICK], "two": [SICK]}), DIGITS)


def test_nodes_without_gpus_are_not_refused():
    assert check_gpus_of_nodes(cluster({"one": []}), DIGITS) == {"one": []}


def test_too_little_shared_memory_is_refused_with_its_host():
    resources = Resources(device="cuda", workers=4)
    with pytest.raises(ValueError, match=r"^two: too little$"):
        check_shared_memory(cluster({"one": None, "two": "too little"}), IMAGENET, resources)


def test_without_loader_processes_shared_memory_does_not_matter():
    check_shared_memory(cluster({"one": "too little"}), IMAGENET, Resources(device="cuda"))
