"""The private folder and the token of a Ray that is started here."""

import os
import stat
import tempfile

import pytest

from orchestrator.ray_session import (
    LONGEST_FOR_LOADERS,
    LONGEST_FOR_RAY,
    SHORT_FOLDER,
    give_token,
    make_session_folder,
    remove_session_folder,
    withdraw_token,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """A copy of the environment that forgets what a test sets, of a user without a token."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        os.environ.pop(name, None)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("length", [LONGEST_FOR_RAY, LONGEST_FOR_RAY + 1, LONGEST_FOR_LOADERS])
def test_only_the_owner_may_enter_the_folder_whose_path_is_short(monkeypatch, length):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: SHORT_FOLDER + "/" * (length - len(SHORT_FOLDER)))
    folder = make_session_folder()
    (folder / "r").mkdir()
    assert mode(folder) == 0o700
    assert len(str(folder)) <= LONGEST_FOR_RAY + 12
    remove_session_folder(folder)
    assert not folder.exists()


def test_a_folder_whose_sockets_would_have_too_long_paths_is_refused(monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "x" * LONGEST_FOR_LOADERS)
    with pytest.raises(
        ValueError, match=r"^TMPDIR has 76 bytes, expected at most 75, for sockets are made in it: /x+$"
    ):
        make_session_folder()


def test_a_folder_that_cannot_be_written_is_refused(monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/proc")
    with pytest.raises(ValueError, match=r"^no folder for temporary files can be made in /proc: "):
        make_session_folder()


def test_only_the_owner_may_read_the_token(tmp_path):
    assert give_token(tmp_path) == f"in {tmp_path / 'token'}"
    assert mode(tmp_path / "token") == 0o600
    assert (tmp_path / "token").read_text() == os.environ["RAY_AUTH_TOKEN"]
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


@pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_of_the_users_own_is_kept(tmp_path, variable):
    os.environ[variable] = "mine"
    assert give_token(tmp_path) == f"in {variable}"
    assert os.environ[variable] == "mine"
    assert not (tmp_path / "token").exists()


def test_the_next_session_makes_a_token_of_its_own(tmp_path):
    give_token(tmp_path)
    first = os.environ["RAY_AUTH_TOKEN"]
    withdraw_token(tmp_path)
    second = tmp_path / "second"
    second.mkdir()
    assert give_token(second) == f"in {second / 'token'}"
    assert os.environ["RAY_AUTH_TOKEN"] != first


@pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_of_the_users_own_is_not_withdrawn(tmp_path, variable):
    os.environ[variable] = "mine"
    give_token(tmp_path)
    withdraw_token(tmp_path)
    assert os.environ[variable] == "mine"
