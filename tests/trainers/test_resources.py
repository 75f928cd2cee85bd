import os

import pytest
import torch

from trainers.resources import (
    NodeCapacity,
    Resources,
    TrialRequest,
    describe_sharing,
    local_resources,
    this_machine,
    whole_machine,
)


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


@pytest.mark.parametrize(
    ("sizes", "cpus", "got"),
    [
        ([(16, 2)], None, (1, 0.125)),  # eight trials on each GPU
        ([(208, 8)], None, (3, 0.125)),  # never more than eight: 26 CPUs for each GPU
        ([(12, 2)], None, (1, 0.1666)),  # six: Ray would round a sixth up, and then only five would fit
        ([(3, 2)], None, (1, 1.0)),  # no CPUs for a second trial
        ([(208, 8)], 6, (6, 0.25)),  # as asked, so only four
        ([(96, 0), (32, 8), (64, 8)], None, (1, 0.25)),
        ([(8, 0)], None, (1, 0)),
        ([(16, 1)], 32, None),
    ],
)
def test_trials_of_small_images_share_a_gpu_by_default(sizes, cpus, got):
    if got is None:
        with pytest.raises(ValueError, match="a trial wants 32 CPUs and 1 GPUs"):
            TrialRequest.choose(nodes(*sizes), cpus, None, small_images=True)
    else:
        assert TrialRequest.choose(nodes(*sizes), cpus, None, small_images=True) == TrialRequest(*got)


def test_who_asks_for_a_whole_gpu_gets_one():
    assert TrialRequest.choose(nodes((16, 2)), None, 1.0, small_images=True) == TrialRequest(8, 1)


def test_the_line_about_sharing_says_how_to_change_it():
    line = describe_sharing(TrialRequest(2, 0.125))
    assert line.startswith("8 trials share each GPU")
    assert "--gpus-per-trial 1:" in line
    assert "nvidia-cuda-mps-control -d" in line


@pytest.mark.parametrize(("gpus", "cpus"), [(0.4, 4), (0.25, 2), (0.3, 2), (0.1, 1), (0.51, 8)])
def test_trials_that_share_a_gpu_share_all_of_its_cpus(gpus, cpus):
    assert TrialRequest.choose(nodes((16, 2)), None, gpus).cpus == cpus


@pytest.mark.parametrize(("gpus", "trials"), [(0.142857, 6), (0.1428, 7), (0.125, 8), (1.0, 1), (4.0, 1), (0.0, 1)])
def test_as_many_trials_share_a_gpu_as_ray_puts_there(gpus, trials):
    assert TrialRequest(1, gpus).trials_per_gpu == trials


def test_memory_is_shared_after_the_contexts():
    assert Resources(device="cuda").memory_fraction(10**10) == 1.0
    # 4 x 0.6 GB of 12 GB are contexts; a quarter of the other 9.6 GB is a fifth of 12.
    assert Resources(device="cuda", trials_per_gpu=4).memory_fraction(12 * 10**9) == pytest.approx(0.2)
    with pytest.raises(
        ValueError, match=r"^8 trials do not fit on a GPU of 4 GB: the CUDA context of each takes about"
    ):
        Resources(device="cuda", trials_per_gpu=8).memory_fraction(4 * 10**9)


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
        (4, 0.25, Resources(device="cuda", threads=4, trials_per_gpu=4)),
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
    assert whole_machine(1) == Resources(device="cuda", threads=12, workers=5)


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
    assert local_resources(None, None, small_images=True) == (
        Resources(device="cuda", threads=1, trials_per_gpu=6),
        12,
    )
    assert local_resources(None, 0.5) == (Resources(device="cuda", threads=3, trials_per_gpu=2), 4)
    with pytest.raises(ValueError, match="a trial wants 4 CPUs and 3 GPUs, the nodes have 12 CPUs and 2 GPUs"):
        local_resources(4, 3.0)
