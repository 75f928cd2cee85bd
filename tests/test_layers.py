"""Who may import whom: read from the syntax trees, and asked of fresh interpreters."""

import ast
import subprocess
import sys
from functools import cache

import pytest

from tests.support.paths import ROOT

ROOMS = ("orchestrator", "storage", "searchspace", "trainers", "schedulers", "results")
# By room (or module): the rooms and modules that it may import besides its own room.
MAY_IMPORT = {
    "orchestrate": ("orchestrator",),
    "orchestrator": ("storage", "searchspace", "trainers", "schedulers", "results"),
    "storage": (),
    "searchspace": (),
    "schedulers": (),
    "trainers": ("searchspace", "storage"),
    "results": ("storage",),
    "results.statistics": ("storage", "searchspace.switches", "schedulers.pareto"),
    "results.report": ("storage", "schedulers.pareto"),
}
# What a fresh interpreter must not load with a module.
HEAVY = ("torch", "timm", "ray", "optuna", "sklearn", "matplotlib", "statsmodels")
NUMBERS = ("numpy", "pandas", "pyarrow", "scipy")
UNLOADED = {
    "orchestrate": (*HEAVY, *NUMBERS),
    "storage.folder": (*HEAVY, *NUMBERS),
    "searchspace.spaces": (*HEAVY, *NUMBERS),
    "trainers.recipes": (*HEAVY, *NUMBERS),
    "trainers.trial_task": ("torch", "timm", "ray"),
    "trainers.__main__": (*HEAVY, *NUMBERS),
    "trainers.data.open_dataset": HEAVY,
    "schedulers": (*HEAVY, *NUMBERS),
    "schedulers.search": ("torch", "timm", "ray"),
    "results.store": HEAVY,
    "results.recorder": ("torch", "timm", "ray", "optuna", "sklearn"),
    "results.report.write_report": ("torch", "timm", "ray", "optuna", "sklearn"),
    "orchestrator.orphan_reaper": (*HEAVY, *NUMBERS),
}


@cache
def modules():
    """Every module of ours and its syntax tree."""
    files = [ROOT / "orchestrate.py", *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    found = {}
    for file in files:
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text())
    return found


def for_types_only(tree):
    """The nodes below `if TYPE_CHECKING:`, which no interpreter runs."""
    guarded = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    return {below for node in guarded for child in node.body for below in ast.walk(child)}


def imported(name, types_too):
    """Modules of ours that a module imports, also inside functions."""
    tree = modules()[name]
    skipped = set() if types_too else for_types_only(tree)
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in found if module in modules()} - {name}


def is_in(module, place):
    return module == place or module.startswith(f"{place}.")


def may_import(importer, module):
    """Whether MAY_IMPORT lets one module import another; the narrowest place that holds the importer counts."""
    place = max((place for place in MAY_IMPORT if is_in(importer, place)), key=len)
    own_room = importer.partition(".")[0]
    for allowed in (own_room, *MAY_IMPORT[place]):
        is_its_package = allowed.startswith(f"{module}.")  # loaded on the way to it
        if is_in(module, allowed) or is_its_package:
            return True
    return False


@pytest.mark.parametrize("room", ["orchestrate", *ROOMS])
def test_a_room_imports_only_what_it_may(room):
    inside = [name for name in modules() if is_in(name, room)]
    assert inside
    arrows = [(name, module) for name in inside for module in imported(name, types_too=True)]
    assert [arrow for arrow in arrows if not may_import(*arrow)] == []


def test_no_module_reaches_itself():
    arrows = {name: imported(name, types_too=False) for name in modules()}
    for start in arrows:
        seen, waiting = set(), list(arrows[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += arrows[name]
        assert start not in seen, f"{start} imports itself by way of others"


def test_only_the_orchestrator_imports_ray():
    for name, tree in modules().items():
        if is_in(name, "orchestrator"):
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not any(is_in(module, "ray") for module in names), f"{name} imports Ray"


@pytest.mark.parametrize("module", UNLOADED)
def test_a_module_loads_nothing_that_it_must_not(module):
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not set(UNLOADED[module]) & set(loaded.split())


def test_timm_imports_after_ours():
    """Whatever torchvision is beside whatever torch: importing a model of ours makes timm importable."""
    code = "import searchspace.backbones, timm; print(timm.list_models('*skaformer*'))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['cskaformer_b36', 'cskaformer_s18', 'skaformer_b36', 'skaformer_s18']"


def test_help_answers():
    command = [sys.executable, "orchestrate.py", "--help"]
    assert "--space" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
