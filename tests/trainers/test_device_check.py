"""What the check of a device finds, with the CPU in place of a GPU and faked faults."""

import torch

from trainers import device_check
from trainers.device_check import (
    CheckResult,
    check_compile,
    check_convolution,
    check_device,
    check_matmul,
    check_memory,
)

CPU = torch.device("cpu")


def test_a_device_that_computes_well_has_no_problem():
    assert check_device(CPU, compiles=False) == CheckResult("cpu", None)


def test_a_wrong_product_is_found(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor + 1)
    assert check_matmul(CPU) == "a matrix product in float32 differs from the CPU's"


def test_a_wrong_gradient_is_found(monkeypatch):
    gradients = iter([(torch.ones(2), torch.ones(2)), (torch.ones(2), torch.tensor([1.0, 1.1]))])
    monkeypatch.setattr(device_check, "_convolution_gradients", lambda *inputs: next(gradients))
    assert check_convolution(CPU) == "the gradient of a convolution differs from the CPU's"


def test_a_gpu_whose_memory_others_fill_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1.25e9, 80e9))
    assert check_memory(torch.device("cuda", 0)) == "1.2 of 80 GB are free: other processes use it"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (70e9, 80e9))
    assert check_memory(torch.device("cuda", 0)) is None


def test_a_missing_compiler_is_named(monkeypatch):
    def fail(function):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\n\nmore")

    monkeypatch.setattr(torch, "compile", fail)
    found = check_device(CPU, compiles=True).problem
    assert found == ("torch.compile fails: Failed to find C compiler. Please specify via CC environment variable.")


def test_a_compiled_function_that_differs_is_found(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: torch.cos)
    assert check_compile(CPU) == "a compiled function differs from the CPU's"


def test_an_old_driver_is_the_problem_in_one_line(monkeypatch):
    def fail():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nPlease update")

    monkeypatch.setattr(torch.cuda, "init", fail)
    found = check_device(torch.device("cuda", 0), compiles=False)
    assert found.problem == (
        f"torch {torch.__version__}: The NVIDIA driver on your system is too old (found version 11040)."
    )
