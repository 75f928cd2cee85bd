"""What may import what, asked of a fresh interpreter."""

import subprocess
import sys

import pytest

ROOMS = {"searchspace", "trainers", "schedulers", "results"}
OURS = ROOMS | {"orchestrate", "plan", "agenda", "preflight", "cluster", "nodes", "guard", "storage"}
LIGHT = {"torch", "timm", "ray", "optuna", "sklearn"}
DECIDES = {"torch", "timm", "ray"} | OURS - {"schedulers"}
FORBIDDEN = {
    "storage": LIGHT | {"pandas", "pyarrow", "numpy"} | OURS - {"storage"},
    "searchspace.candidate": LIGHT | OURS - {"searchspace"},
    "searchspace.spaces": LIGHT | OURS - {"searchspace"},
    "searchspace.user_space": LIGHT | OURS - {"searchspace"},
    "searchspace.backbones": {"ray", "optuna"} | OURS - {"searchspace"},
    "trainers.recipes": LIGHT | OURS - {"trainers"},
    "trainers.data.in_memory": LIGHT | OURS - {"trainers"},
    "trainers.export.model_card": LIGHT | OURS - {"trainers"},
    "trainers.__main__": LIGHT | OURS - {"searchspace", "trainers", "storage"},
    "trainers.tune_trial": {"ray", "optuna"} | OURS - {"searchspace", "trainers", "storage"},
    "schedulers": LIGHT | {"numpy"} | OURS - {"schedulers"},
    "schedulers.budget": LIGHT | {"numpy"} | OURS - {"schedulers"},
    **{f"schedulers.{name}": DECIDES for name in ("search", "rungs", "racing", "samplers", "gp", "tpe")},
    "results.store": {"torch", "timm", "ray", "optuna"} | OURS - {"results", "storage"},
    "results.recorder": {"torch", "timm", "ray", "optuna"} | OURS - {"results", "storage"},
    "results.report.write_report": {"torch", "timm", "ray", "optuna"} | OURS - {"results", "storage"},
    "results.report.updater": {"torch", "timm", "ray", "optuna", "scipy", "matplotlib"} | OURS - {"results", "storage"},
    "nodes": {"torch", "timm", "optuna"} | OURS - {"nodes", "guard"},
    "guard": LIGHT | {"pandas", "pyarrow", "numpy"} | OURS - {"guard"},
    "agenda": {"ray", "optuna", "orchestrate", "cluster", "preflight"},
    "preflight": {"ray", "optuna", "orchestrate", "cluster", "agenda"},
    "plan": LIGHT | {"pandas", "pyarrow", "numpy"},
    "orchestrate": LIGHT | {"pandas", "pyarrow", "numpy"},
}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_module_loads_nothing_that_it_must_not(module):
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not FORBIDDEN[module] & set(loaded)


def test_timm_imports_after_ours():
    """Whatever torchvision is beside whatever torch: importing a model of ours makes timm importable."""
    code = "import searchspace.backbones, timm; print(timm.list_models('*skaformer*'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "['cskaformer_b36', 'cskaformer_s18', 'skaformer_b36', 'skaformer_s18']"


def test_help_answers():
    command = [sys.executable, "orchestrate.py", "--help"]
    assert "--space" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
