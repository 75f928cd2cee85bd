import os

import pytest
import torch

from trainers.resources import NodeCapacity, Resources, TrialRequest, local_resources, this_machine, whole_machine


def nodes(*sizes):
    return [NodeCapacity(cpus, gpus) for cpus, gpus in sizes]


@pytest.mark.parametrize(
    ("sizes", "asked", "got"),
    [
        ([(8, 0)], (None, None), (1, 0)),
        ([(16, 2)], (None, None), (8, 1)),
        ([(16, 2)], (None, 0.25), (2, 0.25)),
        ([(16, 2)], (None, 0), (1, 0)),
        ([(64, 8), (64, 8)], (None, 8.0), (64, 8)),
        ([(96, 0), (32, 8), (64, 8)], (None, None), (4, 1)),  # a head without GPUs has no part of a trial
        ([(16, 2)], (3, 1.0), (3, 1)),
    ],
)
def test_a_trial_gets_a_gpu_where_there_are_any_and_its_part_of_the_cpus(sizes, asked, got):
    assert TrialRequest.choose(nodes(*sizes), *asked) == TrialRequest(*got)


def test_a_request_that_no_node_holds_is_refused():
    with pytest.raises(ValueError, match=r"1 CPUs and 3 GPUs, the nodes have 16 CPUs and 2 GPUs, 8 CPUs and 0 GPUs$"):
        TrialRequest.choose(nodes((16, 2), (16, 2), (8, 0)), 1, 3.0)


def test_a_gpu_and_a_half_is_refused():
    with pytest.raises(ValueError, match=r"1\.5 GPUs a trial, expected a fraction of one or a whole number"):
        TrialRequest.choose(nodes((16, 2)), 1, 1.5)


@pytest.mark.parametrize(
    ("request_", "node", "trials"),
    [((2, 0), (5, 0), 2), ((2, 1.0), (8, 2), 2), ((4, 1.0), (4, 2), 1), ((1, 0.4), (8, 2), 4), ((1, 2.0), (8, 3), 1)],
)
def test_a_node_holds_so_many_trials(request_, node, trials):
    assert TrialRequest(*request_).trials_on(NodeCapacity(*node)) == trials


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources"),
    [
        (2, 0, Resources(device="cpu", threads=2)),
        (4, 1.0, Resources(device="cuda", threads=4)),
        (4, 0.25, Resources(device="cuda", threads=4, memory_fraction=0.25)),
        (64, 8.0, Resources(device="cuda", threads=8, ranks=8)),
        (4, 8.0, Resources(device="cuda", threads=1, ranks=8)),
    ],
)
def test_several_gpus_are_ranks_that_share_the_cpus(cpus, gpus, resources):
    assert TrialRequest(cpus, gpus).resources() == resources


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)), raising=False)


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)


def test_this_machine_has_the_cpus_that_the_process_may_use(two_gpus):
    assert this_machine() == NodeCapacity(12, 2)


def test_ranks_share_the_whole_machine(two_gpus):
    assert whole_machine(2) == Resources(device="cuda", threads=6, ranks=2, workers=5)


def test_more_ranks_than_gpus_are_refused(two_gpus):
    with pytest.raises(ValueError, match=r"^3 ranks, expected at most 2, the GPUs of this machine$"):
        whole_machine(3)


def test_without_a_gpu_ranks_share_the_threads_of_torch(no_gpus, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert whole_machine(2) == Resources(threads=2, ranks=2)


def test_a_study_for_a_larger_machine_is_measured_on_what_there_is(no_gpus):
    assert local_resources(None, None) == (Resources(threads=1), 4)
    assert local_resources(None, 8.0) == (Resources(threads=1), 4)
    assert local_resources(16, None) == (Resources(threads=16), 1)


def test_a_trial_gets_its_part_of_this_machine(two_gpus):
    assert local_resources(None, None) == (Resources(device="cuda", threads=6), 2)
    assert local_resources(None, 0.5) == (Resources(device="cuda", threads=3, memory_fraction=0.5), 4)
    with pytest.raises(ValueError, match="a trial wants 4 CPUs and 3 GPUs, the nodes have 12 CPUs and 2 GPUs"):
        local_resources(4, 3.0)
