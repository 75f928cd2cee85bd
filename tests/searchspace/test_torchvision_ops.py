"""torchvision is importable beside any torch."""

import importlib.util
import sys
from importlib.machinery import PathFinder
from types import SimpleNamespace

import pytest
import torch

from searchspace import torchvision_ops


@pytest.fixture
def declared(monkeypatch):
    """The declarations of a torchvision whose library does not load: the list of what is declared."""
    found = []

    def refuse(path):
        raise OSError(path)

    library = SimpleNamespace(define=found.append)
    monkeypatch.setattr(torch.ops, "load_library", refuse)
    monkeypatch.setattr(torchvision_ops.library, "Library", lambda namespace, kind: library)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[]))
    monkeypatch.setattr(PathFinder, "find_spec", lambda *place: SimpleNamespace(origin="_C.so"))
    return found


def test_torchvision_can_be_imported():
    import torchvision

    assert torchvision.__name__ in sys.modules


def test_a_library_that_does_not_load_gets_its_operators_declared(declared):
    assert torchvision_ops.declare_missing_operators() is not None
    assert [text.partition("(")[0] for text in declared] == ["nms", "qnms"]


def test_a_library_that_loads_needs_no_declaration(declared, monkeypatch):
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    assert torchvision_ops.declare_missing_operators() is None
    assert declared == []


def test_without_torchvision_nothing_is_declared(declared, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert torchvision_ops.declare_missing_operators() is None
    assert declared == []
