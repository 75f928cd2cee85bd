"""What loaders need of shared memory, by hand."""

from collections import namedtuple
from dataclasses import replace

import pytest

from trainers import shared_memory
from trainers.recipes import DIGITS, IMAGENET
from trainers.resources import Resources
from trainers.shared_memory import loader_bytes, shared_memory_problem

Usage = namedtuple("Usage", "total used free")


def test_each_process_holds_two_groups_of_uint8_images_and_each_rank_one():
    resources = Resources(device="cuda", ranks=8, workers=2)
    assert loader_bytes(IMAGENET, resources) == 8 * 5 * 128 * 3 * 224 * 224
    assert loader_bytes(IMAGENET, resources, trials=2) == 2 * loader_bytes(IMAGENET, resources)


def test_no_loader_and_no_streamed_images_need_none():
    assert loader_bytes(IMAGENET, Resources(device="cuda")) == 0
    assert loader_bytes(DIGITS, Resources(device="cuda", workers=4)) == 0


def test_a_cpu_decodes_the_same_groups():
    on_gpu = loader_bytes(IMAGENET, Resources(device="cuda", workers=2))
    assert loader_bytes(IMAGENET, Resources(workers=2)) == on_gpu


def test_of_a_small_batch_a_rank_trains_on_its_part_and_a_gpu_evaluates_twice_as_many():
    recipe = replace(IMAGENET, batch_size=64)
    assert loader_bytes(recipe, Resources(ranks=8, workers=1)) == 8 * 3 * 8 * 3 * 224 * 224
    assert loader_bytes(recipe, Resources(device="cuda", ranks=8, workers=1)) == 8 * 3 * 16 * 3 * 224 * 224


@pytest.mark.parametrize(("wanted", "said"), [(0, False), (64_000_000, False), (925_000_000, True)])
def test_too_little_is_said_with_the_bytes(monkeypatch, tmp_path, wanted, said):
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shared_memory.shutil, "disk_usage", lambda folder: Usage(64_000_000, 0, 64_000_000))
    problem = shared_memory_problem(wanted)
    assert bool(problem) == said
    if problem:
        assert problem.startswith(f"{tmp_path} has 64 MB free, the loader processes fill up to 925 MB: ")
        assert "--shm-size=1g" in problem


def test_a_system_without_shared_memory_in_a_folder_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", tmp_path / "none")
    assert shared_memory_problem(10**12) is None
