"""What Ray finds in the environment."""

import os
import subprocess
import sys

import pytest

from orchestrator.ray_environment import configure_ray
from tests.support.paths import ROOT


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    """A copy of the environment that forgets what a test sets, of a user without a token."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "RAY_NUM_REDIS_GET_RETRIES"):
        os.environ.pop(name, None)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_tune_leaves_signals_and_paths_to_us():
    configure_ray(joining=False)
    assert os.environ["TUNE_DISABLE_SIGINT_HANDLER"] == "1"
    assert os.environ["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert "RAY_NUM_REDIS_GET_RETRIES" not in os.environ


def test_a_user_without_a_token_sends_none():
    configure_ray(joining=True)
    assert "RAY_AUTH_MODE" not in os.environ
    assert os.environ["RAY_NUM_REDIS_GET_RETRIES"] == "2"


def test_a_token_in_the_environment_is_sent(monkeypatch):
    monkeypatch.setitem(os.environ, "RAY_AUTH_TOKEN", "secret")
    configure_ray(joining=True)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_token_in_the_home_folder_is_sent(tmp_path, monkeypatch):
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))
    configure_ray(joining=True)
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.slow
def test_ray_is_not_imported_before_it_is_configured():
    code = "import sys, orchestrator.ray_environment, orchestrator.study_run; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
